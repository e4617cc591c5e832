// The script of the Play tab's stage. No queue: the next picture is asked for when the last one is there, so that
// a slow machine gives fewer pictures and no delay. While something leads, two are on their way: the server reads
// or draws one while the other travels.
let key = '', busy = 0, dirty = false, leader = null, times = [], sent = 0, shown = 0, photo = false;
let take = {number: 0, begun: 0}, gliding = 0;
const LONGEST = 10000, GLIDE = 300;  // milliseconds of a take, at most, and from one expression to the next
const canvas = document.createElement('canvas');
const find = name => element.querySelector(name);
const all = name => [...element.querySelectorAll(name)];
const write = (place, words) => { if (find(place).textContent !== words) find(place).textContent = words; };
const say = words => write('.play-said', words);
const refuse = words => write('.play-refused', words);
const sliders = () => Object.fromEntries(all('.play-sliders input').map(one => [one.name, Number(one.value)]));
const redraw = () => { dirty = true; draw(); };

const shoot = () => {  // what the camera, or the visitor's own video, shows now
  const film = find('video');
  if (!film.videoWidth) return null;
  const scale = Math.min(320 / film.videoWidth, 320 / film.videoHeight);
  canvas.width = Math.round(scale * film.videoWidth);
  canvas.height = Math.round(scale * film.videoHeight);
  canvas.getContext('2d').drawImage(film, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL('image/jpeg', 0.85);
};
const ask = () => {
  const asked = {key, sliders: sliders(), photo: !photo};
  if (leader?.clip !== undefined) asked.clip = {name: leader.clip, seconds: find('video').currentTime};
  else if (leader) asked.driver = shoot();
  if (take.begun) asked.take = {number: take.number, seconds: (performance.now() - take.begun) / 1000};
  return asked;
};
const tell = took => {
  const now = performance.now();
  times = [...times.filter(time => now - time < 4000), now];
  const rate = (times.length - 1) / Math.max((now - times[0]) / 1000, 0.001);
  element.dataset.rate = rate.toFixed(1);
  element.dataset.took = Math.round(took);
  if (leader && times.length > 2)
    say(`${rate.toFixed(1)} pictures a second, each ${Math.round(took)} ms after what it follows`);
};
const show = (answer, took) => {
  if (answer.photo) { photo = true; find('.play-photo').src = answer.photo; }
  find('.play-result').src = answer.picture;
  all('.play-picture > :not(video, p)').forEach(part => { part.hidden = false; });
  find('.play-empty').hidden = true;
  element.dataset.drawn = Number(element.dataset.drawn || 0) + 1;
  if (leader) refuse('');
  tell(took);
};
const draw = async () => {
  if (busy >= (leader ? 2 : 1)) return;
  busy += 1;
  while (key && (dirty || leader || take.begun)) {
    dirty = false;
    const asked = ask(), led = leader, begun = performance.now(), number = ++sent;
    let answer;
    try { answer = await server.draw(asked); }
    catch { answer = {problem: 'The page cannot reach its server; load it again.'}; }
    if (asked.key !== key || led !== leader) { dirty = true; continue; }
    if (number < shown) continue;
    if (answer.picture) {
      shown = number;
      show(answer, performance.now() - begun);
    } else {
      (leader ? refuse : say)(answer.problem);
      if (answer.gone) { key = ''; rest(); trigger('submit'); }
      await new Promise(done => setTimeout(done, 300));
    }
  }
  busy -= 1;
};

// Something leads: the camera, a clip of the page, or the visitor's own video.
const rest = () => {
  leader?.stop?.();
  leader = null;
  times = [];
  const film = find('video');
  film.pause();
  film.removeAttribute('src');
  film.srcObject = null;
  film.hidden = true;
  all('[aria-pressed=true]').forEach(button => button.setAttribute('aria-pressed', 'false'));
  find('.play-stop').hidden = true;
  say('');
};
const lead = async (button, {source, stream = null, ...more}) => {
  rest();
  refuse('');
  const film = find('video');
  leader = {...more, stop: () => (stream ? stream.getTracks().forEach(track => track.stop()) : more.done?.())};
  const mine = leader;
  film.classList.toggle('mirrored', Boolean(stream));
  if (stream) film.srcObject = stream; else film.src = source;
  film.hidden = find('.play-stop').hidden = false;
  button?.setAttribute('aria-pressed', 'true');
  try { await film.play(); }
  catch {
    if (leader !== mine) return;
    rest();
    refuse('This browser cannot play that video; save it as mp4 (H.264) and choose it again.');
    return;
  }
  draw();
  draw();
};
const follow_camera = async button => {
  let stream;
  try { stream = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}}); }
  catch { refuse('There is no camera that this page may use; allow it in the browser, or take a video.'); return; }
  lead(button, {stream});
};
const follow_file = file => {
  const source = URL.createObjectURL(file);
  lead(null, {source, done: () => URL.revokeObjectURL(source)});
};

// A take: up to ten seconds of what the portrait does, which become a clip.
const begin_take = () => {
  take = {number: take.number + 1, begun: performance.now()};
  const number = take.number, button = find('.play-record');
  button.classList.add('recording');
  const count = () => {
    if (!take.begun || number !== take.number) return;
    const seconds = (performance.now() - take.begun) / 1000;
    button.textContent = `Stop after ${seconds.toFixed(0)} s`;
    if (seconds * 1000 >= LONGEST) end_take(); else setTimeout(count, 200);
  };
  count();
  redraw();
};
const end_take = () => {
  take = {...take, begun: 0};
  find('.play-record').classList.remove('recording');
  find('.play-record').textContent = 'Record';
  document.getElementById('play-save')?.click();
};
const keep = async () => {
  const answer = await server.keep({key});
  if (answer.problem) { say(answer.problem); return; }
  const link = Object.assign(document.createElement('a'), {href: answer.file, download: answer.name});
  link.click();
};
const express = wanted => {
  const inputs = all('.play-sliders input'), from = inputs.map(one => Number(one.value)), mine = ++gliding;
  const begun = performance.now(), calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const step = () => {
    if (mine !== gliding) return;
    const share = calm ? 1 : Math.min((performance.now() - begun) / GLIDE, 1);
    inputs.forEach((one, k) => { one.value = from[k] + share * ((wanted[one.name] || 0) - from[k]); });
    redraw();
    if (share < 1) requestAnimationFrame(step);
  };
  step();
};

const show_actions = () => {  // the strip of the Portrait tab: each of its pictures is a clip to be made
  [...document.querySelectorAll('[role=tab]')].find(tab => tab.innerText === 'Portrait')?.click();
  setTimeout(() => document.getElementById('repertoire')?.scrollIntoView({block: 'center'}), 300);
};

element.addEventListener('input', event => {
  if (event.target.matches('.play-wipe')) element.style.setProperty('--wipe', `${event.target.value}%`);
  if (event.target.closest('.play-sliders')) { gliding += 1; redraw(); }
});
element.addEventListener('change', event => {
  if (!event.target.matches('[type=file]') || !event.target.files[0]) return;
  follow_file(event.target.files[0]);
  event.target.value = '';
});
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.sliders) express(JSON.parse(button.dataset.sliders));
  if (button.matches('.play-camera')) follow_camera(button);
  if (button.matches('.play-driver'))
    lead(button, {source: button.querySelector('video').src, clip: button.dataset.clip});
  if (button.matches('.play-words')) show_actions();
  if (button.matches('.play-stop')) { rest(); redraw(); }
  if (button.matches('.play-keep')) keep();
  if (button.matches('.play-record')) (take.begun ? end_take : begin_take)();
});
document.getElementById('consent')?.addEventListener('change', () => {
  setTimeout(() => { if (element.offsetParent) trigger('submit'); }, 100);  // once the page knows of it
});
const adopt = () => {
  if (take.begun) end_take();
  key = find('.play').dataset.key || '';
  photo = false;
  all('input, button').forEach(part => { part.disabled = !key; });
  if (leader && !key) rest();
  redraw();
};
watch('value', adopt);
adopt();

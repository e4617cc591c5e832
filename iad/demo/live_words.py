"""What the Live tab says, its stage, and the script that asks for one picture after the other."""

INTRODUCTION = """
<p class="lead">The same drawing, without words and without waiting: move a slider, or let your own face move
the portrait. The photo is read once; after that every picture is drawn when it is asked for.</p>
"""
HELP = """
<p class="quiet">Your camera’s pictures go to whoever runs this page, one at a time, are read and at once
forgotten; nothing is recorded. Turn it on only if you want that.</p>
"""
GONE = "The photo was forgotten after a while; add it again."
PROBLEM = "Something went wrong here; try another photo."
TEMPLATE = """
<div class="live" data-key="${value}">
  <div class="live-picture"><img alt="The portrait, AI-generated" hidden><video muted playsinline hidden
    aria-label="Your camera"></video><span class="live-label" hidden>AI-generated</span>
    <p class="live-empty">Choose a face, and it looks back</p></div>
  <p class="live-said quiet" role="status"></p>
  <div class="live-buttons"><button type="button" class="live-camera" disabled>Use my camera</button>
    <button type="button" class="live-reset" disabled>Rest</button></div>
  <div class="live-sliders">@sliders</div>
</div>
"""
# No queue: the next picture is asked for when the last one is there, so that a slow machine gives fewer
# pictures and no delay. A camera's come two at a time: the server reads one while it draws the other.
LIVE_JS = """
let key = '', busy = 0, dirty = false, stream = null, times = [], sent = 0, shown = 0;
const canvas = document.createElement('canvas');
const find = name => element.querySelector(name);
const say = words => {
  const place = find('.live-said');
  if (place.textContent !== words) place.textContent = words;
};
const sliders = () => Object.fromEntries(
  [...element.querySelectorAll('input')].map(input => [input.name, Number(input.value)]));
const shoot = () => {
  const camera = find('video');
  if (!stream || !camera.videoWidth) return null;
  canvas.width = 320;
  canvas.height = Math.round(320 * camera.videoHeight / camera.videoWidth);
  canvas.getContext('2d').drawImage(camera, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL('image/jpeg', 0.85);
};
const stop = () => {
  if (stream) stream.getTracks().forEach(track => track.stop());
  stream = null;
  times = [];
  find('video').hidden = true;
  find('.live-camera').textContent = 'Use my camera';
  say('');
};
const tell = took => {
  const now = performance.now();
  times = [...times.filter(time => now - time < 4000), now];
  const rate = (times.length - 1) / Math.max((now - times[0]) / 1000, 0.001);
  element.dataset.rate = rate.toFixed(1);
  if (stream && times.length > 2)
    say(`${rate.toFixed(1)} pictures a second, each ${Math.round(took)} ms after your camera’s`);
};
const draw = async () => {
  if (busy >= (stream ? 2 : 1)) return;
  busy += 1;
  while (key && (dirty || stream)) {
    dirty = false;
    const asked = key, begun = performance.now(), number = ++sent;
    let answer;
    try { answer = await server.draw({key, sliders: sliders(), driver: shoot()}); }
    catch { answer = {problem: 'The page cannot reach its server; load it again.', gone: true}; }
    if (asked !== key) { dirty = true; continue; }
    if (number < shown) continue;
    if (answer.picture) {
      shown = number;
      const picture = find('img');
      picture.src = answer.picture;
      picture.hidden = find('.live-label').hidden = false;
      find('.live-empty').hidden = true;
      element.dataset.drawn = Number(element.dataset.drawn || 0) + 1;
      tell(performance.now() - begun);
    } else {
      if (answer.gone) { key = ''; stop(); }
      say(answer.problem);
      await new Promise(done => setTimeout(done, 300));
    }
  }
  busy -= 1;
};
const film = async () => {
  if (stream) { stop(); dirty = true; draw(); return; }
  try { stream = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}}); }
  catch { say('There is no camera that this page may use.'); return; }
  const camera = find('video');
  camera.srcObject = stream;
  await camera.play();
  camera.hidden = false;
  find('.live-camera').textContent = 'Stop the camera';
  draw();
  draw();
};
element.addEventListener('input', () => { dirty = true; draw(); });
element.addEventListener('click', event => {
  if (event.target.closest('.live-camera')) film();
  if (event.target.closest('.live-reset')) {
    element.querySelectorAll('input').forEach(input => { input.value = 0; });
    dirty = true;
    draw();
  }
});
const adopt = () => {
  if (stream) { stream.getTracks().forEach(track => track.stop()); stream = null; }
  key = find('.live').dataset.key || '';
  element.querySelectorAll('input, button').forEach(part => { part.disabled = !key; });
  dirty = true;
  draw();
  if (key && innerWidth < 800) element.scrollIntoView({behavior: 'smooth', block: 'start'});
};
watch('value', adopt);
"""

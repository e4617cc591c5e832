"""What the Play tab says, and its stage."""

INTRODUCTION = """
<p class="lead">Move a slider, press an expression, or let a clip or your own face lead: the portrait follows
at once. It is the photo of the Portrait tab; take another one here if you like.</p>
"""
HELP = """
<p class="quiet">Your own video stays on your device. Of it, and of your camera, single pictures go to whoever
runs this page, are read and at once forgotten. Only what you record becomes a file: the portrait, not
you.</p>
"""
GONE = "The photo was forgotten after a while; it is read again."
PROBLEM = "Something went wrong here; try another photo."
NOTHING_SHOWN = "There is no picture yet; choose a face first."
NOTHING_TAKEN = "Nothing was recorded; press Record, move the portrait for a second or more, then press Stop."
TEMPLATE = """
<div class="play" data-key="${value}">
  <div class="play-left">
    <div class="play-picture">
      <img class="play-photo" alt="The photo" hidden>
      <img class="play-result" alt="The portrait, AI-generated" hidden>
      <b class="play-edge" aria-hidden="true" hidden></b>
      <input type="range" class="play-wipe" min="25" max="100" value="100" disabled hidden
        aria-label="Wipe between photo and portrait">
      <video muted loop playsinline hidden aria-label="What leads the portrait"></video>
      <span class="play-label" hidden>AI-generated</span>
      <p class="play-empty">Choose a face, and it looks back</p>
    </div>
    <p class="play-said quiet" role="status"></p>
    <div class="play-buttons">
      <button type="button" class="play-keep" disabled>Keep this picture</button>
      <button type="button" class="play-record" disabled>Record</button>
    </div>
  </div>
  <div class="play-right">
    <div class="play-expressions" role="group" aria-label="Expressions">@expressions
      <button type="button" class="play-words">More actions, in words</button></div>
    <div class="play-sliders">@sliders</div>
    <p class="play-heading" id="play-leads">Or let somebody lead</p>
    <p class="quiet">@people</p>
    <div class="cards" role="group" aria-labelledby="play-leads" tabindex="0">@drivers</div>
    <div class="play-buttons">
      <label class="play-file">Your own video
        <input type="file" accept="video/*,.mov,.m4v,.mkv" disabled></label>
      <button type="button" class="play-camera" aria-pressed="false" disabled>Your camera</button>
      <button type="button" class="play-stop" hidden>Stop following</button>
    </div>
    <p class="play-refused note" role="alert"></p>
  </div>
</div>
"""
READING_JS = "() => { document.querySelector('.play-said').textContent = 'Reading the photo …'; }"
READ_JS = """
() => {
  const said = document.querySelector('.play-said');
  if (said.textContent.startsWith('Reading')) said.textContent = '';
}
"""
SHOW_RECORDED_JS = """
() => {
  const place = document.getElementById('play-recorded');
  place.classList.add('shown');
  place.scrollIntoView({behavior: 'smooth', block: 'nearest'});
}
"""

"""Settings in the address: a link asks for the same clip again. The photo is never part of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from iad.demo.examples import Example

# A link to an example's clip that was not prepared makes it: that needs nobody's consent.
MAKE_JS = """
clip => {
  const number = new URLSearchParams(location.search).get('example');
  const card = document.querySelector(`#examples [data-index="${Number(number)}"]`);
  if (number === null || !card) return;
  document.querySelector('#examples [aria-current]')?.removeAttribute('aria-current');
  card.setAttribute('aria-current', 'true');
  if (!clip) document.getElementById('generate').click();
}
"""
MOST = 2**31  # of a number that has no upper bound


@dataclass(frozen=True)
class Setting:
    """One value in the address: its name there, its default and its bounds, or its choices."""

    name: str
    default: Any
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, dial: Any) -> "Setting":
        """Take default and bounds of a component; words are always named."""
        if isinstance(dial, gr.Textbox | gr.Checkbox):
            return cls(name, "" if isinstance(dial, gr.Textbox) else dial.value)
        if choices := getattr(dial, "choices", ()):
            return cls(name, dial.value, choices=tuple(value for _, value in choices))
        most = MOST if dial.maximum is None else dial.maximum
        return cls(name, dial.value, low=dial.minimum, high=most)

    def read(self, text: str) -> Any:
        """Read a value; what is out of bounds or no value at all becomes the default."""
        if isinstance(self.default, str):
            return text[:1000] if not self.choices or text in self.choices else self.default
        if isinstance(self.default, bool):
            return text == "true"
        try:
            value = float(text)
        except ValueError:
            return self.default
        return type(self.default)(value) if self.low <= value <= self.high else self.default


def read_link(query: Mapping[str, str], settings: Sequence[Setting]) -> list[Any]:
    """Return the value of every setting; what the address does not name stays as it is.

    A visitor may have turned a dial before the address was read.
    """
    return [setting.read(query[setting.name]) if setting.name in query else gr.skip() for setting in settings]


def link_settings(
    dials: Mapping[str, Any],
    *,
    examples: Sequence[Example],
    shown: Sequence[Any],
    show: Callable[[Example, str], Iterator[tuple[Any, ...]]],
) -> str:
    """Fill the components from the address when the page opens; returns the script that keeps it up to date.

    The script takes the components' values and writes those that are not the default. An example, which
    anybody may use, is named by its number; a visitor's own photo is not named at all.

    Args:
        dials: components, by their names in the address.
        examples: those that the address names by number.
        shown: photo, clip and words of an example.
        show: gives what these three show, for an example and a prompt.
    """
    page, settings = gr.context.Context.root_block, [Setting.of(*named) for named in dials.items()]

    def fill(request: gr.Request) -> Iterator[list[Any]]:
        query = dict(request.query_params)
        values = read_link(query, settings)
        number = Setting("example", -1, low=0, high=len(examples) - 1).read(query.get("example", ""))
        if number < 0:
            # another prompt than the one that the page opens with: the clip of that is not the clip of this
            yield [gr.skip(), *((None, "") if "prompt" in query else (gr.skip(), gr.skip())), *values]
            return
        prompt = query.get("prompt", examples[number].prompt)
        values[list(dials).index("prompt")] = prompt[:1000]
        changed = [setting for setting in settings if setting.name in query and setting.name != "prompt"]
        plain = all(setting.read(query[setting.name]) == setting.default for setting in changed)
        for showing in show(examples[number], prompt if plain else ""):  # as the prepared clip was made
            yield [*showing, *values]

    filled = page.load(
        fill, outputs=[*shown, *dials.values()], api_visibility="private", queue=False, show_progress="hidden"
    )
    filled.success(None, shown[1], js=MAKE_JS, api_visibility="private", queue=False)
    names = list(dials)
    defaults = [str(d).lower() if isinstance(d, bool) else d for d in (s.default for s in settings)]
    return f"""
(...values) => {{
  const names = {names!r}, defaults = {defaults!r}, query = new URLSearchParams(location.search);
  names.forEach((name, k) => {{
    if (String(values[k]) === String(defaults[k])) query.delete(name); else query.set(name, values[k]);
  }});
  const card = document.querySelector('#examples [aria-current=true]');
  if (card) query.set('example', card.dataset.index); else query.delete('example');
  history.replaceState(null, '', query.size ? '?' + query : location.pathname);
}}
"""

"""The shapes of sentences, as data: `iad.training.sentences` fills them with clauses.

A slot stands between braces: {who} the person, {whom} the same as an object, {them} she or he, {text} or
{said} a clause, {base}, {gerund}, {third} forms of a verb phrase, {noun} what is not there.
"""

from iad.training.clauses import AnyForm

SINGLE: dict[AnyForm, tuple[str, ...]] = {
    "third": (
        "{who} {text}", "{who} {text}", "{who} {text}", "{text}", "{text}", "{who} who {text}",
        "in the video {who} {text}", "{who} {text} on camera", "now {who} {text}", "here {who} {text}",
        "the clip shows how {who} {text}", "look how {who} {text}", "we see that {who} {text}",
        "at last {who} {text}", "as we watch, {who} {text}", "{who} once again {text}",
    ),
    "gerund": (
        "{who} is {text}", "{who} {text}", "{text}", "{who} keeps {text}", "{who} starts {text}",
        "{who} can't stop {text}", "{who} cannot help {text}", "{who} is seen {text}",
        "{who} is caught {text}",
        "{who} has been {text} for a while", "{who} goes on {text}", "{who} has started {text}",
        "we see {whom} {text}", "a shot of {whom} {text}", "a clip of {whom} {text}", "{who} was {text}",
        "there is {whom} {text}", "the picture shows {whom} {text}", "close-up of {whom} {text}",
        "{who} ends up {text}", "footage of {whom} {text}", "{who} begins {text}",
        "portrait of {whom} {text}",
    ),
    "part": (
        "{text}", "{who}, {text}", "{suddenly}{text}", "{text} as {who} looks at us", "now {text}",
        "you can see how {text}", "portrait of {whom}: {text}", "look, {text}",
    ),
    "with": (
        "{who} with {text}", "{who}, {text}", "with {text}, {who}", "{text}", "{who} appears with {text}",
        "portrait of {whom} with {text}", "{who} looks at us with {text}", "{who} is seen with {text}",
        "close-up of {whom} with {text}", "{who} has {text}", "{who} poses with {text}",
    ),
    "base": ("{text}",),
    "cue": (
        "{text}", "{text}", "{who}, {text}", "{who}, {text}", "{text}, {who}", "close-up of {whom}, {text}",
        "portrait of {whom}, {text}", "a photo of {whom}, {text}", "{who}: {text}", "give me this: {text}",
        "facial expression: {text}", "expression: {text}", "headshot, {text}", "the face: {text}",
        "I'd like to see this: {text}", "animate: {text}", "direction for {whom}: {text}",
    ),
}  # fmt: skip
ASKED = (
    "{text}", "make {her} {text}", "I want {her} to {text}", "please {text}", "{who} should {text}",
    "let {whom} {text}", "can you make {whom} {text}", "{who} will {text}", "{who} begins to {text}",
    "{who} starts to {text}", "{who} tries to {text}", "{who} wants to {text}", "have {whom} {text}",
    "{who} can't help but {text}", "{who} has just begun to {text}", "{who} is asked to {text}",
    "{who} has to {text}", "get {whom} to {text}", "ask {whom} to {text}", "watch {whom} {text}",
    "could {who} {text}?", "{who} must {text}", "{who} continues to {text}", "{who} is made to {text}",
    "we see {whom} {text}", "all {who} does is {text}", "action: {text}", "{who} seems to {text}",
    "{who} dares to {text}", "show {whom} as {pronoun} starts to {text}",
)  # fmt: skip
OF_MYSELF: dict[str, tuple[str, ...]] = {
    "base": ("I {text}", "I want to {text}", "let me {text}", "watch me {text}", "make me {text}",
             "now I {text}", "I try to {text}", "I'd like to {text}", "have me {text}",
             "I'm going to {text}"),
    "gerund": ("I am {text}", "I'm {text}", "me {text}", "a selfie of me {text}", "I can't stop {text}",
               "show me {text}", "I keep {text}"),
}  # fmt: skip
TO_YOU: dict[str, tuple[str, ...]] = {
    "base": ("{text}", "{text}", "please {text}", "now {text}", "can you {text}?", "could you {text}",
             "try to {text}", "you {text}", "you should {text}", "I'd like you to {text}", "go on, {text}",
             "{text} for me", "{text}, please", "don't forget to {text}", "you have to {text}",
             "and now: {text}"),
    "gerund": ("keep {text}", "start {text}", "you are {text}", "imagine you are {text}", "go on {text}"),
}  # fmt: skip
CUES_AT_ONCE = ("{one}, {other}", "{one}, {other}", "{one} and {other}", "{one}; {other}", "{other}, {one}",
                 "{one} with {other}", "{who}, {one}, {other}", "portrait, {one}, {other}",
                 "{one}, {other}, close-up", "{who}: {one}, {other}")  # fmt: skip
CUES_IN_ORDER = ("{one}, then {other}", "first {one}, then {other}", "from {one} to {other}",
                  "{one} turning into {other}", "{one} -> {other}", "{one}; after that {other}",
                  "{one} giving way to {other}", "{who}: {one}, then {other}")  # fmt: skip
COMMANDS_JOINED = (", then ", " and then ", ". Then ", ", after that ", ". Now ", ", now ", "; next ")
BESIDE: dict[str, tuple[str, ...]] = {
    "with": ("{text} with {more}", "{text}, with {more}"),
    "part": ("{text} while {more}", "{text}, {more}", "{text} and {more}", "{text} as {more}"),
    "gerund": ("{text} while {more}", "{text}, {more}", "{text} while also {more}"),
    "both gerunds": ("{text} and {more}", "{text} while {more}", "{text}, {more}"),
    "third": (
        "{text} and {more}",
        "{text} and {more}",
        "{text}, {more}",
        "{text} and at the same time {more}",
    ),
}
AFTER = (
    "after {done} {who} {also}", "{who} {also} after {done}", "{who} {also}, but first is {done}",
    "having finished {done}, {who} {also}", "as soon as {who} stops {done}, {them} {also}",
    "{who} {also} right after {done}", "{who} stops {done}, whereupon {them} {also}",
    "once done {done}, {who} {also}",
    "{who} is {done} until {them} {also}", "{who} begins by {done}, and then {also}",
)  # fmt: skip
BEFORE = (
    "before {also} {who} {done}", "{who} {done} before {also}", "{who} {done}, followed by {also}",
    "{who} {done} and ends up {also}", "{who} {done} and then starts {also}",
    "{who} {done}, only later {also}",
    "{who} first {done} and finishes by {also}", "{who} {done} until {them} can't help {also}",
)  # fmt: skip
NEXT: dict[str, tuple[str, ...]] = {
    "gerund": (", followed by {more}", " before {more}", ", then {more}", ", ending up {more}"),
    "part": (", then {more}", ". Then {more}", " until {more}", ", and after that {more}",
             "; later {more}"),
    "third": (
        ", then {more}", " and then {more}", ". Then {them} {more}", ". After that, {them} {more}",
        ", then {them} {more}", " and finally {more}", ", next {more}", ", and a moment later {more}",
        ", before {them} {more}", ", after which {them} {more}", " until {them} {more}",
        ", whereupon {them} {more}", "; afterwards {them} {more}",
        ", and as soon as that is done, {them} {more}",
        ", and in the end {more}", ". A second later {them} {more}", ". Next, {them} {more}",
    ),
}  # fmt: skip
MIXED = (
    "looks {one} but {other}", "is {one} and {other} at the same time", "looks both {one} and {other}",
    "is half {one}, half {other}", "looks {one} yet {other}", "looks {one} and a bit {other}",
    "seems {one} and {other}", "has a look both {one} and {other}", "is {one}, but also {other}",
    "looks {one}, almost {other}",
)  # fmt: skip
MIXED_FEELINGS = (
    "is torn between {one} and {other}", "shows a mixture of {one} and {other}",
    "looks at us with {one} and {other}", "feels {one} mixed with {other}",
)  # fmt: skip
ONLY_EYES = (
    "only {their} eyes look {adj}", "{who} looks {adj} only around the eyes",
    "{their} eyes are {adj}, the mouth is calm", "{who} has {adj} eyes and a calm mouth",
)  # fmt: skip
EYES_APART = (
    "{who} {third}, but {their} eyes are {adj}", "{who} {third} with {adj} eyes",
    "{third}, but {their} eyes look {adj}", "{who} {third} while {their} eyes stay {adj}",
    "{their} eyes look {adj}, but {them} {third}",
    "{who} {third} with the mouth alone, and the eyes are {adj}",
)  # fmt: skip
DENIED: dict[str, tuple[str, ...]] = {
    "gerund": (
        "not {other} but {said}", "{who} is {said} without {other}", "no {noun}, just {said}",
        "{said}, not {other}", "{said} rather than {other}", "{who} is {said}, but not {other}",
    ),
    "third": (
        "without {other} {they} {said}", "without {other}, {who} {said}", "{who} {said} without {other}",
        "{who} does not {base} but {said}", "{who} doesn't {base}, {they} {said}",
        "{who} {said} but does not {base}", "{who} {said} and doesn't {base}",
        "no {noun}, {they} only {said}",
        "instead of {other} {they} {said}", "{who} {said} instead of {other}",
        "{who} never {never}, only {said}",
        "{who}, not {other}, {said}", "{who} {said} with no {noun}", "{who} {said}, no {noun}",
        "{who} {said}, but {they} is not {other}", "{who} {said}, without any {noun}",
        "not {other}, {who} {said}",
        "{who} isn't {other}, {they} just {said}", "no {noun} at all, {they} {said}",
        "{who} avoids {other} and {said}", "{who} {said} rather than {never}",
        "{who} {said} without a trace of {noun}", "{who} won't {base}, but {said}",
        "never {other}, {who} {said}",
        "{who} {said} and is no longer {other}", "{who} {said} but refuses to {base}",
        "{who} {said} yet keeps from {other}", "{who} stops {other} and {said}",
        "{who} {said}, free of {noun}",
        "far from {other}, {who} {said}", "{who} {said} but forgets to {base}",
        "{who} no longer {never} but {said}", "there is no {noun}, but {who} {said}",
        "{who} {said} and at no time {never}", "{who} {said}, yet nowhere is there any {noun}",
        "{who} {said} and manages not to {base}", "{who} has stopped {other} and {said}",
        "it's not that {who} {never}; {they} {said}", "{who} {said} and barely thinks of {other}",
    ),
}  # fmt: skip
STILL = (
    "{who} {said}, but {still}", "{who} {said} while {still}", "{who} {said}, {still}",
    "{said}, but {still}",
    "{still}, but {who} {said}", "{still} while {they} {said}", "{who} {said} and {still}",
)  # fmt: skip
NOTHING = (
    "{who} does not {base}", "{who} doesn't {base}", "does not {base}", "no {noun}", "{who} won't {base}",
    "{who} is not {gerund}", "{who} never {third}", "without {gerund}", "{who} isn't {gerund} at all",
    "{who} does not {base} or {other}", "no {noun}, no {another}", "{who} with no {noun}",
    "{who} stops {gerund}",
    "don't {base}", "not {gerund}", "without any {noun}", "{who} refuses to {base}",
    "{who} neither {third} nor {also}", "{who} avoids {gerund}", "there is no {noun}",
    "{who} must not {base}",
    "{who} shows no {noun}", "{who} does not {base} at all", "{who} is no longer {gerund}",
    "{who} keeps from {gerund}", "{who} refrains from {gerund}", "a face without {noun}",
    "a face free of {noun}",
    "far from {gerund}", "{who} has stopped {gerund}", "{who} does anything but {base}", "never {base}",
    "at no time does {who} {base}", "{who} can't {base}", "{who} forgets to {base}",
    "neither {noun} nor {another}",
    "please don't {base}", "{who} doesn't {base} any more", "stop {gerund}", "{who} fails to {base}",
    "{who} would never {base}", "not even {gerund}", "{who} doesn't {base}, and doesn't {other} either",
    "{who} no longer {third}", "{who} resists the urge to {base}", "{who} is not to {base}",
)  # fmt: skip
NOT_MOVED = ("{still}", "{who}, {still}", "{still} all the time", "note that {still}") * 3
NOT_SO = (
    "{who} is not {adj}", "{who} isn't {adj}", "{who} does not look {adj}", "not {adj}",
    "{who} isn't {adj} at all",
    "{who} is anything but {adj}", "{who} no longer looks {adj}", "far from {adj}",
    "neither {adj} nor anything else",
    "{who} doesn't seem {adj} in the least", "there is nothing {adj} about {whom}",
    "{who} tries not to look {adj}",
)  # fmt: skip
CONTRADICTING = (
    "{who} {third} without {gerund}", "{third} without {gerund}", "{who} {third} and does not {base}",
    "{who} {third} but never {third}", "{who} does not {base} but {third}",
    "without {gerund} {they} {third}",
    "{who} {third} while not {gerund}", "{gerund} without {gerund}",
)  # fmt: skip
ONE_SIDE = (
    "{said}, not the {there}", "{said}, not the {there} one", "{said} and not {there}",
    "{said}, not to the {there}", "{said} instead of {there}", "{said}, the {there} one stays still",
)  # fmt: skip

"""Ways to say each action, as data: base-form verb phrases and "with" phrases.

The first word of a verb phrase is inflected by `iad.portraits.wording` ("smile" gives "smiles", "smiling").
`{their}` stands for the pronoun, `{very}` and `{size}` for a degree before an adjective or a noun.
A wink, turn, tilt or glance without a side is to the person's own left.
`HELD_OUT_PHRASINGS` never occur in training captions: they test whether wordings unseen in training are
understood.
"""

from iad.portraits.paraphrases import MORE_VERBS

VERBS: dict[str, tuple[str, ...]] = {
    "neutral": (
        "keep a straight face", "stay calm", "look calmly into the camera", "show no expression",
        "keep a calm face", "look on without any expression", "hold still", "wear a neutral expression"),
    "smile": (
        "smile", "give a {size}smile", "break into a {size}smile", "smile at the camera", "look {very}happy",
        "flash a {size}smile", "start to smile", "show a {size}smile"),
    "grin": (
        "grin", "give a {size}grin", "grin from ear to ear", "smile with {their} teeth showing",
        "show {their} teeth in a grin", "smile toothily", "break into a {size}grin", "beam"),
    "laugh": (
        "laugh", "laugh out loud", "burst out laughing", "giggle", "chuckle", "crack up", "have a good laugh",
        "laugh happily"),
    "smirk": (
        "smirk", "give a smirk", "smile with one corner of {their} mouth", "give a crooked smile",
        "smile on one side only", "wear a smug smile", "pull up one corner of {their} mouth",
        "smirk knowingly"),
    "frown": (
        "frown", "give a {size}frown", "turn down the corners of {their} mouth", "scowl",
        "pull {their} mouth down into a frown", "look {very}displeased", "look {very}grumpy",
        "make a grumpy face"),
    "pout": (
        "pout", "push out {their} lower lip", "stick out {their} lower lip", "make a pouty face", "sulk",
        "give a {size}pout", "look sulky", "thrust out {their} lower lip"),
    "pucker": (
        "pucker {their} lips", "blow a kiss", "make a kissing face", "purse {their} lips for a kiss",
        "pucker up", "kiss the air", "push {their} lips forward as if to kiss", "make a kissy face"),
    "lips pressed": (
        "press {their} lips together", "tighten {their} lips", "squeeze {their} lips shut",
        "hold {their} lips tight", "clamp {their} lips together", "roll {their} lips inward",
        "fold {their} lips in", "keep {their} lips tightly shut"),
    "mouth open": (
        "open {their} mouth", "let {their} mouth hang open", "drop {their} jaw", "gape",
        "hold {their} mouth open", "hold {their} mouth agape", "say ah", "let {their} jaw drop"),
    "talk": (
        "talk", "speak", "talk to the camera", "say something", "chat", "speak a few words", "tell a story",
        "have a conversation"),
    "shout": (
        "shout", "yell", "scream", "shout angrily", "cry out loudly", "yell at someone",
        "scream at the top of {their} lungs", "roar"),
    "yawn": (
        "yawn", "give a {size}yawn", "let out a {size}yawn", "yawn sleepily", "yawn with tiredness",
        "open {their} mouth in a yawn", "start to yawn", "stifle a yawn"),
    "surprised": (
        "look {very}surprised", "look {very}astonished", "gasp in surprise", "react with surprise",
        "look {very}amazed", "gasp", "show surprise", "make a surprised face"),
    "angry": (
        "look {very}angry", "glare", "make an angry face", "look {very}furious", "get angry",
        "glare at the camera", "show anger", "look {very}mad"),
    "sad": (
        "look {very}sad", "make a sad face", "look {very}unhappy", "look {very}sorrowful", "show sadness",
        "look {very}gloomy", "become sad", "look {very}miserable"),
    "cry": (
        "cry", "sob", "weep", "burst into tears", "start to cry", "break down crying", "cry with sorrow",
        "sob with grief"),
    "disgusted": (
        "look {very}disgusted", "wrinkle {their} nose in disgust", "make a disgusted face", "sneer",
        "scrunch up {their} nose", "show disgust", "react with disgust", "curl {their} upper lip in disgust"),
    "afraid": (
        "look {very}afraid", "look {very}scared", "look {very}frightened", "make a scared face", "show fear",
        "look terrified", "stare in fear", "react with fear"),
    "skeptical": (
        "look {very}skeptical", "raise one eyebrow", "look {very}doubtful", "lift one brow",
        "cock an eyebrow", "raise an eyebrow in doubt", "give a skeptical look", "look {very}unconvinced"),
    "wink left": (
        "wink with {their} left eye", "wink {their} left eye", "close {their} left eye in a wink",
        "give a wink with the left eye", "wink on the left side", "shut only {their} left eye",
        "close just {their} left eye", "wink using {their} left eye", "wink", "wink at the camera"),
    "wink right": (
        "wink with {their} right eye", "wink {their} right eye", "close {their} right eye in a wink",
        "give a wink with the right eye", "wink on the right side", "shut only {their} right eye",
        "close just {their} right eye", "wink using {their} right eye"),
    "blink": (
        "blink", "blink {their} eyes", "blink again and again", "bat {their} eyelids", "blink several times",
        "flutter {their} eyelids", "keep blinking", "keep opening and closing {their} eyes"),
    "eyes closed": (
        "close {their} eyes", "shut {their} eyes", "keep {their} eyes closed", "hold {their} eyes shut",
        "let {their} eyes fall shut", "have {their} eyes closed", "close both eyes", "lower {their} eyelids"),
    "squint": (
        "squint", "narrow {their} eyes", "squint {their} eyes", "squint into the light",
        "squeeze {their} eyes narrow", "screw up {their} eyes", "peer through narrowed eyes", "squint hard"),
    "eyes wide": (
        "open {their} eyes wide", "widen {their} eyes", "stare with wide eyes", "stare wide-eyed",
        "make big eyes", "make {their} eyes big", "pop {their} eyes open", "look on wide-eyed"),
    "look left": (
        "look left", "look to the left", "glance left", "glance to the left", "move {their} eyes to the left",
        "shift {their} gaze left", "gaze to the left", "turn {their} eyes left", "look away"),
    "look right": (
        "look right", "look to the right", "glance right", "glance to the right",
        "move {their} eyes to the right", "shift {their} gaze right", "gaze to the right",
        "turn {their} eyes right"),
    "look up": (
        "look up", "look upwards", "glance up", "roll {their} eyes upward", "gaze up", "raise {their} gaze",
        "turn {their} eyes up", "look up at the ceiling"),
    "look down": (
        "look down", "look downwards", "glance down", "lower {their} gaze", "gaze down",
        "cast {their} eyes down", "turn {their} eyes down", "look down at the floor"),
    "brows raised": (
        "raise {their} eyebrows", "raise {their} brows", "lift {their} eyebrows", "raise both eyebrows",
        "arch {their} eyebrows", "push {their} eyebrows up", "lift both brows",
        "raise {their} eyebrows high"),
    "brows furrowed": (
        "furrow {their} brows", "furrow {their} brow", "knit {their} brows", "lower {their} eyebrows",
        "draw {their} eyebrows together", "pull {their} brows together", "pinch {their} eyebrows",
        "look {very}concentrated"),
    "nod": (
        "nod", "nod {their} head", "nod yes", "give a nod", "nod in agreement", "say yes with a nod",
        "move {their} head up and down", "nod again and again"),
    "shake": (
        "shake {their} head", "shake {their} head no", "say no by shaking {their} head",
        "turn {their} head from side to side", "move {their} head from side to side",
        "swing {their} head left and right", "give a shake of the head",
        "shake {their} head in disagreement"),
    "tilt left": (
        "tilt {their} head to the left", "tilt {their} head left", "tip {their} head to the left",
        "lean {their} head to the left", "cock {their} head to the left", "tilt {their} head",
        "bend {their} head toward {their} left shoulder", "tilt left"),
    "tilt right": (
        "tilt {their} head to the right", "tilt {their} head right", "tip {their} head to the right",
        "lean {their} head to the right", "cock {their} head to the right", "lean {their} head right",
        "bend {their} head toward {their} right shoulder", "tilt right"),
    "turn left": (
        "turn {their} head to the left", "turn {their} head left", "turn left", "turn to the left",
        "rotate {their} head to the left", "face left", "turn {their} face to the left",
        "swing {their} head to the left", "turn {their} head"),
    "turn right": (
        "turn {their} head to the right", "turn {their} head right", "turn right", "turn to the right",
        "rotate {their} head to the right", "face right", "turn {their} face to the right",
        "swing {their} head to the right"),
    "head up": (
        "raise {their} head", "lift {their} chin", "tilt {their} head back", "lift {their} head",
        "tip {their} head back", "raise {their} chin", "hold {their} chin up", "lean {their} head back"),
    "head down": (
        "lower {their} head", "bow {their} head", "drop {their} chin", "hang {their} head",
        "tilt {their} head down", "lower {their} chin", "tip {their} head forward", "bend {their} head down"),
}  # fmt: skip

WITHS: dict[str, tuple[str, ...]] = {
    "neutral": ("with a neutral expression", "with a calm face"),
    "smile": ("with a {size}smile on {their} face", "with a {size}smile"),
    "grin": ("with a {size}grin on {their} face", "with a toothy grin"),
    "laugh": ("with a {size}laugh", "in laughter"),
    "smirk": ("with a smirk on {their} face", "with a crooked smile"),
    "frown": ("with a {size}frown on {their} face", "with the corners of {their} mouth turned down"),
    "pout": ("with a {size}pout", "with a pouting lower lip"),
    "pucker": ("with puckered lips", "with {their} lips pursed for a kiss"),
    "lips pressed": ("with {their} lips pressed together", "with tight lips"),
    "mouth open": ("with {their} mouth open", "with an open mouth"),
    "talk": ("in conversation", "in the middle of speaking"),
    "shout": ("with a loud shout", "in the middle of a scream"),
    "yawn": ("with a {size}yawn", "in the middle of a yawn"),
    "surprised": ("with a look of surprise", "with a {very}surprised face"),
    "angry": ("with an angry look", "with an angry expression"),
    "sad": ("with a sad look", "with a {very}sad expression"),
    "cry": ("in tears", "with a tearful face"),
    "disgusted": ("with a look of disgust", "with a wrinkled nose"),
    "afraid": ("with a look of fear", "with a {very}frightened face"),
    "skeptical": ("with one eyebrow raised", "with a {very}skeptical look"),
    "wink left": ("with a wink of {their} left eye", "with a left-eyed wink"),
    "wink right": ("with a wink of {their} right eye", "with a right-eyed wink"),
    "blink": ("with blinking eyes", "with fluttering eyelids"),
    "eyes closed": ("with {their} eyes closed", "with closed eyes"),
    "squint": ("with narrowed eyes", "with squinting eyes"),
    "eyes wide": ("with wide eyes", "with {their} eyes wide open"),
    "look left": ("with {their} eyes turned to the left", "with a glance to the left"),
    "look right": ("with {their} eyes turned to the right", "with a glance to the right"),
    "look up": ("with {their} eyes turned up", "with an upward glance"),
    "look down": ("with {their} eyes cast down", "with a downward glance"),
    "brows raised": ("with raised eyebrows", "with {their} eyebrows raised"),
    "brows furrowed": ("with furrowed brows", "with {their} brows knitted"),
    "nod": ("with a nod", "with a nodding head"),
    "shake": ("with a shake of {their} head", "with {their} head shaking"),
    "tilt left": ("with {their} head tilted to the left", "with a tilt of the head to the left"),
    "tilt right": ("with {their} head tilted to the right", "with a tilt of the head to the right"),
    "turn left": ("with {their} head turned to the left", "with {their} face turned left"),
    "turn right": ("with {their} head turned to the right", "with {their} face turned right"),
    "head up": ("with {their} head tilted back", "with {their} chin up"),
    "head down": ("with {their} head bowed", "with {their} chin down"),
}

HELD_OUT_PHRASINGS: dict[str, tuple[str, str]] = {
    "neutral": ("remain expressionless", "wear a blank look"),
    "smile": ("curve {their} lips into a smile", "smile warmly"),
    "grin": ("bare {their} teeth in a wide smile", "grin widely at the viewer"),
    "laugh": ("roar with laughter", "laugh at a joke"),
    "smirk": ("smile lopsidedly", "put on a smug smirk"),
    "frown": ("frown in displeasure", "let {their} mouth corners sink"),
    "pout": ("pout like a child", "jut out {their} bottom lip"),
    "pucker": ("press a kiss into the air", "send an air kiss"),
    "lips pressed": ("pinch {their} lips together", "purse {their} mouth into a thin line"),
    "mouth open": ("stand there open-mouthed", "open {their} mouth as if at the dentist"),
    "talk": ("speak to someone", "utter some words"),
    "shout": ("shout out loud", "bellow"),
    "yawn": ("yawn from boredom", "yawn like someone tired"),
    "surprised": ("be startled", "look shocked"),
    "angry": ("look enraged", "fume with anger"),
    "sad": ("look heartbroken", "seem sad"),
    "cry": ("shed tears", "wail"),
    "disgusted": ("look revolted", "grimace in disgust"),
    "afraid": ("look fearful", "be scared"),
    "skeptical": ("quirk one eyebrow", "eye the viewer skeptically"),
    "wink left": ("give {their} left eye a quick wink", "wink left"),
    "wink right": ("give {their} right eye a quick wink", "wink right"),
    "blink": ("blink rapidly", "blink both eyes"),
    "eyes closed": ("keep {their} eyes shut", "squeeze {their} eyes closed"),
    "squint": ("squint at something far away", "make {their} eyes narrow"),
    "eyes wide": ("look with eyes wide open", "goggle"),
    "look left": ("peek left", "direct {their} gaze to the left"),
    "look right": ("peek right", "direct {their} gaze to the right"),
    "look up": ("peer upwards", "look towards the sky"),
    "look down": ("peer downwards", "look towards {their} feet"),
    "brows raised": ("hike {their} eyebrows up", "move {their} eyebrows upward"),
    "brows furrowed": ("crease {their} brow", "scrunch {their} eyebrows together"),
    "nod": ("nod approvingly", "bob {their} head in agreement"),
    "shake": ("wag {their} head from side to side", "refuse by a shake of the head"),
    "tilt left": ("incline {their} head to the left", "rest {their} head toward the left shoulder"),
    "tilt right": ("incline {their} head to the right", "rest {their} head toward the right shoulder"),
    "turn left": ("look over {their} left shoulder", "twist {their} head to the left"),
    "turn right": ("look over {their} right shoulder", "twist {their} head to the right"),
    "head up": ("throw {their} head back", "point {their} chin upward"),
    "head down": ("let {their} head sink", "dip {their} head"),
}

VERBS = {name: tuple(dict.fromkeys((*verbs, *MORE_VERBS[name]))) for name, verbs in VERBS.items()}

# Words for a strong performance, where "a lot" and "strongly" would sound odd.
STRONG_WORDS: dict[str, tuple[str, ...]] = {
    "smile": ("broadly", "widely"),
    "grin": ("broadly", "widely"),
    "mouth open": ("wide", "very wide", "widely"),
    "eyes closed": ("tightly", "firmly"),
    "pucker": ("strongly", "as far as possible"),
    "turn left": ("far", "as far as possible"),
    "turn right": ("far", "as far as possible"),
    "tilt left": ("far", "strongly"),
    "tilt right": ("far", "strongly"),
    "nod": ("vigorously", "deeply"),
    "shake": ("vigorously", "strongly"),
    "laugh": ("hard", "heartily"),
    "cry": ("hard", "bitterly"),
    "head up": ("far", "as far as possible"),
    "head down": ("far", "deeply"),
    "look left": ("far", "as far as possible"),
    "look right": ("far", "as far as possible"),
    "look up": ("far", "as far as possible"),
    "look down": ("far", "as far as possible"),
    "brows raised": ("high", "very high", "a lot"),
    "talk": ("with great energy", "a lot"),
}

# Further words, as regular expressions, by which a prompt is known to name an action.
KEYWORDS: dict[str, str] = {
    "neutral": r"neutral|expressionless|straight face|poker face|calm(?:ly)?|serious(?:ly)?",
    "smile": r"smil(?:e[sd]?|ing)|happ(?:y|ily)|cheerful(?:ly)?",
    "grin": r"grin(?:s|ned|ning)?|toothy smile|beaming",
    "laugh": r"laugh(?:s|ed|ing|ter)?|giggl(?:es?|ing)|chuckl(?:es?|ing)",
    "frown": r"frown(?:s|ed|ing)?|grumpy",
    "pucker": r"kiss(?:es|ing)?|pucker(?:s|ed|ing)?|duck face",
    "lips pressed": r"press\w* \w+ lips(?: together)?|tight-lipped",
    "mouth open": r"(?:mouth|jaw)(?: \w+)? open|open\w* (?:\w+ )?mouth|jaw drops",
    "talk": r"talk(?:s|ing)?|speak(?:s|ing)?|chat(?:s|ting)?|sing(?:s|ing)?",
    "shout": r"shout(?:s|ing)?|scream(?:s|ing)?|yell(?:s|ing)?",
    "yawn": r"yawn(?:s|ed|ing)?",
    "surprised": r"surpris(?:ed?|ing)|astonish(?:ed|ment)|amaze(?:d|ment)|shocked|startled",
    "angry": r"ang(?:ry|rily|er)|furious(?:ly)?|enraged|glar(?:es?|ing)",
    "sad": r"sad(?:ly|ness)?|unhappy|sorrowful(?:ly)?|gloomy",
    "cry": r"cr(?:y|ies|ying)|sob(?:s|bing)?|weep(?:s|ing)?|tears",
    "disgusted": r"disgust(?:ed)?|sneer(?:s|ing)?|wrinkl\w* \w+ nose|nose wrinkled",
    "afraid": r"afraid|scared|frightened|terrified|fear(?:ful(?:ly)?)?",
    "skeptical": r"s[ck]eptical(?:ly)?|doubtful(?:ly)?|(?:one|an|a single) (?:eye)?brow",
    "wink left": r"wink(?:s|ed|ing)?(?: (?:(?:at|to|with|of|on|the|me|you|her|his|their) )*left(?: eye)?)?",
    "wink right": r"wink(?:s|ing)? (?:(?:at|to|with|of|on|the|me|you|her|his|their) )*right(?: eye)?",
    "blink": r"blink(?:s|ed|ing)?",
    "eyes closed": r"eyes(?: \w+)? (?:closed|shut)|(?:clos|shut)\w* (?:\w+ ){0,2}eyes|closed eyes|eyes close",
    "eyes wide": r"eyes(?: open)? wide|wide[- ]eyed|wide(?:-open)? eyes|eyes widen",
    "look left": r"(?:look|glanc|gaz|peek)\w* (?:over )?(?:to )?(?:the |\w+ own |\w+ )?left",
    "look right": r"(?:look|glanc|gaz|peek)\w* (?:over )?(?:to )?(?:the |\w+ own |\w+ )?right",
    "look up": r"(?:look|glanc|gaz|peek|peer)\w* up(?:wards?)?",
    "look down": r"(?:look|glanc|gaz|peek|peer)\w* down(?:wards?)?",
    "brows raised": r"(?:rais|lift|arch)\w* (?:\w+ )?(?:eye)?brows|(?:eye)?brows (?:raised|up|lifted)",
    "brows furrowed": r"furrow\w* (?:\w+ )?(?:eye)?brows?|(?:eye)?brows? furrow\w*|knit\w* \w+ brows",
    "nod": r"nod(?:s|ded|ding)?",
    "shake": r"(?:shak(?:es?|ing)|shook) \w+ head|head ?shak(?:e|ing)|headshake",
    "tilt left": r"(?:tilt|tip|lean)\w* (?:\w+ head )?(?:to )?(?:the |\w+ )?left",
    "tilt right": r"(?:tilt|tip|lean)\w* (?:\w+ head )?(?:to )?(?:the |\w+ )?right",
    "turn left": r"(?:turn|rotat|fac)\w* (?:\w+ head )?(?:to )?(?:the |\w+ own |\w+ )?left",
    "turn right": r"(?:turn|rotat|fac)\w* (?:\w+ head )?(?:to )?(?:the |\w+ own |\w+ )?right",
    "head up": r"head (?:up|back)|chin up",
    "head down": r"head down|bow\w* (?:\w+ )?head|chin down",
}

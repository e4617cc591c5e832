"""More ways to say each action, as data; `iad.portraits.phrasings` adds `MORE_VERBS` to its own.

Nothing here repeats a wording that is held out.
"""

MORE_VERBS: dict[str, tuple[str, ...]] = {
    "neutral": (
        "relax {their} face", "keep {their} face still", "do nothing", "look straight ahead",
        "close {their} mouth", "keep {their} mouth closed", "look into the camera", "face the camera",
        "stay serious", "pose for a portrait", "wait quietly"),
    "smile": (
        "light up with a {size}smile", "crack a smile", "put on a {size}smile", "look {very}pleased",
        "look {very}cheerful", "look {very}joyful", "smile gently", "smile softly", "be {very}happy",
        "smile with joy", "smile kindly"),
    "grin": (
        "grin broadly", "break out in a toothy grin", "grin with delight", "grin like a fool",
        "smile so that {their} teeth show", "flash {their} teeth in a {size}grin", "put on a toothy smile"),
    "laugh": (
        "laugh heartily", "laugh with joy", "break into laughter", "start laughing", "giggle happily",
        "laugh at something funny", "shake with laughter", "chuckle softly", "find it hilarious"),
    "smirk": (
        "smirk a little", "raise one corner of {their} mouth", "lift one side of {their} mouth",
        "grin on one side only", "put on a crooked smile", "smirk with self-satisfaction",
        "smile with half of {their} mouth"),
    "frown": (
        "frown with discontent", "pull down the corners of {their} mouth", "make a frowny face",
        "look {very}dissatisfied", "look {very}annoyed", "scowl with displeased eyes",
        "draw {their} mouth down", "frown at the camera", "look {very}cross"),
    "pout": (
        "pout {their} lips", "look like a sulking kid", "stick {their} lower lip out",
        "push {their} lower lip forward", "pout in disappointment", "put on a pout", "pout and sulk"),
    "pucker": (
        "purse {their} lips", "give a kiss", "make a duck face", "round {their} lips for a kiss",
        "blow a kiss to the camera", "stretch {their} lips out for a kiss", "throw a kiss", "kiss"),
    "lips pressed": (
        "press {their} mouth shut", "compress {their} lips", "hold {their} lips pressed together",
        "suck in {their} lips", "tuck in {their} lips", "keep tight-lipped",
        "seal {their} lips"),
    "mouth open": (
        "open up {their} mouth", "part {their} jaws", "stand with {their} mouth open",
        "leave {their} mouth open", "have {their} mouth open", "hold {their} jaw open",
        "lower {their} jaw", "gape at the camera"),
    "talk": (
        "talk to somebody", "speak to the camera", "explain something", "hold a speech", "give a talk",
        "tell a joke", "read aloud", "speak up", "talk away", "sing a song", "sing",
        "talk about the weather"),
    "shout": (
        "shout with all {their} might", "yell loudly", "scream in rage", "scream", "shout for help",
        "yell at the camera", "holler", "let out a scream"),
    "yawn": (
        "yawn widely", "yawn with fatigue", "break into a yawn", "yawn a {size}yawn", "have to yawn",
        "yawn in the morning", "look {very}sleepy and yawn"),
    "surprised": (
        "look {very}stunned", "be {very}surprised", "be {very}astonished", "look taken aback",
        "show astonishment", "be {very}amazed", "look as if {their} eyes deceived them", "react in amazement",
        "stare in surprise", "look caught by surprise"),
    "angry": (
        "be {very}angry", "be {very}mad", "scowl with anger", "look at the camera with anger",
        "look {very}irate", "boil with rage", "show {their} rage", "stare angrily", "lose {their} temper"),
    "sad": (
        "be {very}sad", "feel {very}sad", "look {very}dejected", "look {very}depressed",
        "look {very}downcast", "look {very}melancholic", "mourn", "look on sadly", "look {very}hurt"),
    "cry": (
        "cry {their} eyes out", "cry softly", "be in tears", "weep with grief", "sob uncontrollably",
        "begin to weep", "cry like a baby", "let the tears flow"),
    "disgusted": (
        "be {very}disgusted", "look {very}repelled", "wrinkle {their} nose", "crinkle {their} nose",
        "smell something foul", "show {their} disgust", "look as if something stank", "feel {very}disgusted",
        "sneer with contempt"),
    "afraid": (
        "be {very}afraid", "be {very}frightened", "look {very}panicked", "tremble with fear",
        "look horrified", "show terror", "look {very}anxious", "stare in horror", "feel fear"),
    "skeptical": (
        "be {very}skeptical", "raise a single brow", "lift one eyebrow", "arch one eyebrow",
        "look at the camera in doubt", "look as if in doubt", "look {very}suspicious",
        "cock one brow", "look on in disbelief"),
    "wink left": (
        "wink with the left eye", "wink on {their} left", "blink with only {their} left eye",
        "close the left eye only", "give a cheeky wink", "give a wink", "wink playfully",
        "shut the left eye in a wink"),
    "wink right": (
        "wink with the right eye", "wink on {their} right", "blink with only {their} right eye",
        "close the right eye only", "wink playfully with {their} right eye", "shut the right eye in a wink",
        "give a wink with the right eye", "wink on the right side"),
    "blink": (
        "blink repeatedly", "blink a few times", "blink fast", "blink a lot", "blink at the camera",
        "flutter {their} eyelashes", "bat {their} lashes", "blink over and over"),
    "eyes closed": (
        "close the eyes", "shut both eyes", "rest with closed eyes", "let {their} eyes close",
        "press {their} eyes shut", "leave {their} eyes closed", "close {their} lids", "fall asleep",
        "sleep with closed eyes", "meditate with {their} eyes closed"),
    "squint": (
        "squint at the camera", "squint against the sun", "narrow {their} eyes to slits",
        "half close {their} eyes", "squeeze {their} eyes to slits", "look through narrowed eyes",
        "squint as if blinded"),
    "eyes wide": (
        "have {their} eyes wide open", "open both eyes wide", "stare with big eyes", "make wide eyes",
        "tear {their} eyes open", "stare at the camera with wide eyes", "hold {their} eyes wide open",
        "bulge {their} eyes"),
    "look left": (
        "look off to the left", "look to {their} left", "glance to {their} left", "move {their} gaze left",
        "cast a glance to the left", "let {their} eyes wander left", "look at something on the left",
        "avert {their} eyes to the left", "look sideways"),
    "look right": (
        "look off to the right", "look to {their} right", "glance to {their} right",
        "move {their} gaze right", "cast a glance to the right", "let {their} eyes wander right",
        "look at something on the right", "avert {their} eyes to the right"),
    "look up": (
        "look up at the clouds", "lift {their} gaze", "lift {their} eyes", "cast {their} eyes up",
        "look above", "move {their} eyes up", "look up at the stars"),
    "look down": (
        "look down at the ground", "drop {their} gaze", "lower {their} eyes", "look below",
        "move {their} eyes down", "look down at {their} hands", "glance at the floor", "look down at a book"),
    "brows raised": (
        "raise the eyebrows", "raise the brows", "pull {their} eyebrows up", "lift the brows",
        "shoot {their} eyebrows up", "raise {their} brows high", "lift both eyebrows", "flash {their} brows",
        "wrinkle {their} forehead"),
    "brows furrowed": (
        "furrow the brow", "knit {their} eyebrows", "knit the brows", "contract {their} brows",
        "lower {their} brows", "push {their} eyebrows together", "concentrate hard", "think hard",
        "look {very}focused"),
    "nod": (
        "nod the head", "nod in approval", "nod along", "nod at the camera", "nod to say yes",
        "nod a few times", "give a nod of the head", "agree with a nod", "nod in understanding"),
    "shake": (
        "shake the head", "say no with {their} head", "shake {their} head in refusal",
        "shake {their} head from side to side", "move {their} head left and right",
        "turn {their} head left and right", "deny with a shake of {their} head",
        "shake {their} head in disbelief"),
    "tilt left": (
        "tilt the head to the left", "tilt the head left", "tip {their} head left", "slant {their} head left",
        "lean {their} head to {their} left", "tilt {their} head to {their} left", "cock {their} head",
        "tilt {their} head sideways", "drop {their} left ear to {their} shoulder"),
    "tilt right": (
        "tilt the head to the right", "tilt the head right", "tip {their} head right",
        "slant {their} head right", "lean {their} head to {their} right", "tilt right",
        "tilt {their} head to {their} right", "drop {their} right ear to {their} shoulder"),
    "turn left": (
        "turn the head to the left", "turn the head left", "turn {their} head to {their} left",
        "turn to {their} left", "move {their} head to the left", "pivot {their} head left",
        "turn away to the left", "turn {their} head away", "show {their} profile to the left"),
    "turn right": (
        "turn the head to the right", "turn the head right", "turn {their} head to {their} right",
        "turn to {their} right", "move {their} head to the right", "pivot {their} head right",
        "turn away to the right", "face to the right", "show {their} profile to the right"),
    "head up": (
        "raise the head", "lift the chin", "tilt the head back", "put {their} head back",
        "lean back {their} head", "hold {their} head high", "stick {their} chin up",
        "move {their} head upward"),
    "head down": (
        "lower the head", "bow the head", "drop {their} head", "hang the head", "lean {their} head forward",
        "let {their} head hang", "hold {their} head down", "tuck {their} chin", "move {their} head down"),
}  # fmt: skip

"""Sentences that name no facial action, as data: T must stay calm at them and say that it is not sure."""

DEEDS: tuple[str, ...] = (
    "do a handstand", "ride a horse", "juggle three balls", "walk down the street", "run a marathon",
    "drink a cup of coffee", "play the guitar", "dance in the rain", "throw a ball", "climb a mountain",
    "cook dinner", "drive a car", "wave {their} hand", "raise {their} hand", "clap {their} hands",
    "cross {their} arms", "sit on a bench", "stand in line", "jump over a fence", "swim in a lake",
    "type on a keyboard", "paint a wall", "write a letter", "point at the door", "snap {their} fingers",
    "hold an umbrella", "carry a box", "push a cart", "pull a rope", "kick a ball", "do a cartwheel",
    "lift weights", "fix a bicycle", "water the plants", "open a window", "close the door", "open a book",
    "shut the drawer", "turn a page", "turn on the light", "tilt the table", "shake a bottle",
    "lower a bucket", "raise a flag", "play football", "wear a red hat", "comb {their} hair",
    "adjust {their} glasses", "put on a coat", "walk the dog", "feed the birds", "cut an apple",
    "fly a kite", "wash the dishes", "dig a hole", "shovel snow", "build a house", "levitate",
    "become invisible", "change colour", "fly away", "dissolve into smoke", "stand in front of a window",
    "teleport", "eat a sandwich", "shrug {their} shoulders", "bend {their} knees", "stretch {their} arms",
    "march in a parade", "row a boat", "salute", "do yoga", "surf a wave", "play chess",
    "wiggle {their} ears",
    "moonwalk", "do the splits", "skateboard", "ski down a slope", "ride a bicycle", "catch a fish",
    "bake a cake",
    "chop wood", "milk a cow", "sew a dress", "knit a scarf", "iron a shirt", "vacuum the carpet",
    "mow the lawn",
    "paint a portrait", "sculpt a head", "play the drums", "play tennis", "box", "wrestle", "fence", "dive",
    "hike through the hills", "take a shower", "brush {their} hair", "tie {their} shoes", "pack a suitcase",
    "board a plane", "wait for the bus", "cross the street", "park a car", "pay the bill", "count money",
    "sell fruit", "plant a tree", "pick flowers", "rake leaves", "build a sandcastle", "throw a snowball",
    "climb a ladder", "open a box", "close a suitcase", "wash {their} hands", "dry a plate", "set the table",
    "pour some tea", "stir the soup", "slice bread", "light a fire", "carry a child", "hug a friend",
    "kneel down", "lie on the grass", "walk away", "run away", "dance ballet", "spin around",
    "jump up and down",
    "turn into a cat", "melt", "explode", "glow", "shrink", "grow wings", "walk through a wall", "lift a car",
    "drive to work", "sit at a desk",
    "stand by the sea", "sit in a cafe", "stand on a stage", "hold a microphone", "hold a cat",
    "hold a cup of tea",
)

# What people are, have and wear.
LOOKS: tuple[str, ...] = (
    "wear glasses", "wear a wedding dress", "have long hair", "have a beard", "live in London",
    "work as a doctor", "own a shop", "be forty years old", "be a pilot", "be tall", "have blue eyes",
    "have freckles", "wear a scarf", "wear earrings", "have wrinkles", "have red lips", "wear make-up",
    "have a scar", "be bald", "have big ears", "wear a mask", "be a teacher", "have two children",
)

# What hands do, beside which a face may act.
HANDS: tuple[str, ...] = (
    "wave", "wave {their} hand", "wave goodbye", "wave hello", "clap {their} hands", "give a thumbs up",
    "point at us", "snap {their} fingers", "scratch {their} chin", "scratch {their} head", "rub {their} eyes",
    "rub {their} chin", "stroke {their} beard", "touch {their} nose", "cover {their} mouth with a hand",
    "cover {their} eyes", "put a hand over {their} mouth", "cross {their} fingers", "salute",
    "fold {their} hands",
    "hold up two fingers", "make a peace sign", "adjust {their} glasses", "brush back {their} hair",
    "run a hand through {their} hair", "wipe away a tear", "wipe {their} forehead", "pinch {their} nose",
    "put a finger to {their} lips", "rest {their} chin on a hand", "clench {their} fists",
    "raise {their} hand",
    "facepalm", "hold {their} cheeks", "tug at an ear", "drum with {their} fingers", "twirl a strand of hair",
)  # fmt: skip

OTHER_LANGUAGES: tuple[str, ...] = (
    "eine Frau lächelt", "der Mann schließt die Augen", "sie öffnet den Mund", "er nickt", "ein Kind weint",
    "sie schüttelt den Kopf", "der alte Mann lacht laut", "er hebt die Augenbrauen und lacht",
    "die Frau schaut nach links", "sie sieht traurig aus", "langsam dreht er den Kopf zur Seite",
    "una mujer sonríe", "el hombre cierra los ojos", "ella abre la boca", "él asiente con la cabeza",
    "la niña llora", "mueve la cabeza de un lado a otro", "un hombre mayor se ríe", "mira hacia la izquierda",
    "parece muy enfadado", "une femme sourit", "l'homme ferme les yeux", "elle ouvre la bouche",
    "il hoche la tête", "elle pleure doucement", "il regarde vers la gauche", "elle a l'air surprise",
    "un vieil homme rit aux éclats", "una donna sorride", "l'uomo chiude gli occhi", "lei apre la bocca",
    "annuisce con la testa", "sembra molto triste", "uma mulher sorri", "o homem fecha os olhos",
    "ela abre a boca", "ele balança a cabeça", "een vrouw lacht", "de man sluit zijn ogen", "zij knikt",
    "en kvinna ler", "mannen blundar", "kobieta się uśmiecha", "mężczyzna zamyka oczy",
    "bir kadın gülümsüyor",
    "adam gözlerini kapatıyor", "nainen hymyilee", "一个女人在微笑", "男人闭上眼睛", "她张开嘴", "他点头",
    "女性が笑う", "男性が目を閉じる", "彼女は口を開ける", "여자가 웃는다", "남자가 눈을 감는다",
    "женщина улыбается", "мужчина закрывает глаза", "она открывает рот", "он кивает", "امرأة تبتسم",
    "الرجل يغمض عينيه", "אישה מחייכת", "एक महिला मुस्कुराती है", "γυναίκα χαμογελάει",
    "một người phụ nữ cười",
    "sie lacht und winkt", "el niño frunce el ceño", "elle fait un clin d'oeil", "chiude un occhio e ride",
    "žena se usmívá", "egy nő mosolyog", "жінка посміхається", "seorang wanita tersenyum",
)  # fmt: skip

OPENINGS: tuple[str, ...] = (
    "golden light falls through", "a soft breeze moves", "in the distance one sees",
    "the camera slowly shows",
    "behind the person there is", "the background shows", "dust floats in", "rain runs down",
    "the sun sets over",
    "warm colours fill", "shadows lie on", "a shallow depth of field blurs", "there are many people in",
    "a train passes by", "flowers grow along", "snow covers", "neon signs light up", "music comes from",
    "it is early morning in", "late in the evening in", "a few birds fly over", "the wind blows through",
    "the picture was taken in", "a painting hangs in", "leaves fall in", "fog lies over",
    "waves roll towards",
    "old furniture stands in", "a lamp hangs in", "clouds gather over", "people hurry through",
)  # fmt: skip

THINGS: tuple[str, ...] = (
    "the tall windows", "a quiet village", "the crowded market", "an old library", "the narrow street",
    "a wide valley", "the wooden floor", "a small cafe", "the empty hall", "a busy station", "the garden",
    "the kitchen table", "a glass roof", "the harbour", "a field of wheat", "the stone bridge", "a blue door",
    "the mountains", "a river bank", "the city skyline", "a brick wall", "the curtains", "the studio",
    "an abandoned factory", "the living room", "a red car", "the church tower", "a long corridor",
    "the forest path", "a white fence", "the roofs of the town", "a marble staircase", "the beach",
)  # fmt: skip

STYLES: tuple[str, ...] = (
    "cinematic lighting", "high quality", "4k, highly detailed", "film grain", "a portrait photograph",
    "shot on 35mm film", "soft focus", "bokeh in the background", "natural colours", "studio lighting",
    "close-up", "medium shot", "photorealistic", "award-winning photo", "black and white", "handheld camera",
    "shallow depth of field", "low angle", "vintage look", "ultra realistic, sharp focus", "slow motion",
    "front view", "the camera does not move", "static shot", "no text, no watermark",
)  # fmt: skip

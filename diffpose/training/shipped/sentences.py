"""Texts and voices of the synthetic speech: our own sentences, chosen for varied mouth shapes."""

ENGLISH = (
    "Bob and Pam put the big purple map above my baby.",
    "Peter maybe bumped my lamp, but I believe Mommy moved it.",
    "Five very fine foxes fought over the leftover food.",
    "We went away with wet wool while the wind was warm.",
    "She showed Joe a huge orange fish in the shallow pool.",
    "Hello, how are you today? I am fine, thank you very much.",
    "The father drove far along the dark harbour in his car.",
    "Please keep these three green leaves in the deep freezer.",
    "Who knew that you would choose the blue shoes too?",
    "My mother makes marvellous mushroom and plum jam.",
    "A happy puppy popped up behind the apple crop.",
    "Voices have waves, and every wave moves the valves above.",
    "Nobody knows how long the lonely road goes on.",
    "Think about this: the other brother bathed on Thursday.",
    "Take the kettle to the kitchen and quickly cook cake.",
    "Yes, yesterday the young user yelled at the yellow yacht.",
    "Our hour is now; go out and shout about the clouds.",
    "Boys enjoy noisy toys, and oil spoils the soil.",
    "Look at the good book that the woman took, would you?",
    "Red roses rarely grow around the rural railroad.",
    "Little Lily will call all the tall men in the hall.",
    "I might try to find time to fly my white kite at night.",
    "They say the rain may stay away until eight.",
    "Bring me the empty cup, the bread, the butter and the ham.",
    "Stop. Wait a moment. Now breathe, and begin again.",
    "Number one, two, three, four, five, six, seven, eight, nine, ten.",
    "What a beautiful morning! The birds are singing everywhere.",
    "Machines can speak, but can they ever mean what they say?",
    "A small black bear climbed up the broken beam of the barn.",
    "Vivid violets cover half of the valley from February on.",
    "Her first bird heard the nurse early and learned the words.",
    "The judge measured the treasure with unusual pleasure.",
    "Open the door, warm the floor, and pour me one more.",
    "Put both feet firmly on the platform before jumping.",
    "Sing something slow, something simple, something sweet.",
    "Mum, pass me the pepper. Papa, bring back the beef.",
    "Welcome to the museum of modern film and family photographs.",
    "If the fever lasts, give him half of the fluid before bed.",
    "Many thanks for coming along this evening, dear friends.",
    "Up above, a bumble bee buzzed by; below, a mouse moved.",
)

# Sentences in other languages, for voices of these languages.
FOREIGN = {
    "de": (
        "Der Bäcker backt am Morgen braune Brötchen und bringt Butter mit.",
        "Fünf freche Füchse fressen viele frische Früchte im Wald.",
        "Meine Mutter möchte immer mehr Milch im Becher.",
        "Über den schönen Hügeln schien die Sonne ruhig und warm.",
        "Ich weiß nicht, ob das Buch wirklich auf dem Tisch liegt.",
        "Papa, warum pfeift der Zug so laut auf dem Bahnhof?",
    ),
    "fr": (
        "Bonjour, je voudrais un peu de pain et un bon vin blanc.",
        "Papa a promis une belle promenade au bord de la mer.",
        "La lune brille sur la rue où jouait la petite fille.",
        "Vous avez vu les fleurs bleues devant la vieille ferme?",
        "Mon ami aime beaucoup la musique et les beaux poèmes.",
    ),
    "es": (
        "Mi madre compró pan, mantequilla y una bolsa de manzanas.",
        "El perro viejo vive bajo el puente del pueblo.",
        "Buenos días, me gustaría beber un vaso de agua fría.",
        "Pablo baila muy bien la rumba en la plaza.",
        "Todos los niños juegan fuera cuando sale el sol.",
    ),
    "it": (
        "Buongiorno, vorrei un bicchiere di vino e un po' di pane.",
        "La mamma prepara la pasta per tutta la famiglia.",
        "Il bambino ha paura del buio e chiama il papà.",
        "Domani mattina andiamo al mare con gli amici.",
    ),
    "pt-br": (
        "Bom dia, minha mãe comprou pão e manteiga na padaria.",
        "O menino viu um peixe bonito embaixo da ponte.",
        "A família vive bem perto da praia branca.",
    ),
    "ru": (
        "Мама мыла раму, а папа пил тёплое молоко.",
        "Привет, как твои дела? Пойдём вместе в парк.",
        "Большой белый пароход плывёт по широкой реке.",
    ),
    "cmn-latn-pinyin": (
        "ni3 hao3, wo3 men5 jin1 tian1 qu4 gong1 yuan2 ba5.",
        "ma1 ma5 mai3 le5 mian4 bao1 he2 ping2 guo3.",
        "bei3 jing1 de5 dong1 tian1 fei1 chang2 leng3.",
        "peng2 you5 men5 dou1 bu4 ming2 bai5 wei4 shen2 me5.",
        "fu4 qin1 xi3 huan5 he1 cha2 he2 kan4 shu1.",
    ),
    "ja": (
        "こんにちは、わたしはロボットです。",
        "きょうはとてもいいてんきですね。",
        "まいばん、ぼくはパンとバターをたべます。",
        "あの、みずをいっぱいください。",
    ),
    "hi": ("नमस्ते, आप कैसे हैं?", "मेरी माँ बाज़ार से फल और पानी लाई।", "बहुत बढ़िया, मुझे यह पसंद है।"),
    "tr": ("Merhaba, bugün nasılsın?", "Babam bana büyük mavi bir balon verdi.", "Pencereyi aç, hava çok sıcak."),
    "fi": ("Hyvää huomenta, mitä kuuluu?", "Pieni poika pelaa palloa pihalla.", "Mummo ompelee vanhaa mekkoa."),
    "id": ("Selamat pagi, apa kabar?", "Ibu membeli ikan, beras dan buah pepaya.", "Bapak membaca buku baru."),
    "nl": (
        "Goedemorgen, mijn moeder bakt vers brood met boter.",
        "De vijf vrolijke vrienden fietsen door het bos.",
        "Waarom blijft de boot beneden bij de brug?",
    ),
    "sv": ("God morgon, hur mår du i dag?", "Mamma bakar bröd medan pappa pumpar bollen.", "Vem vill ha vatten?"),
    "pl": ("Dzień dobry, mama piecze biały chleb.", "Piękny pies biegnie obok pana Pawła.", "Proszę wody."),
    "ko": ("안녕하세요, 만나서 반갑습니다.", "엄마가 바나나와 빵을 많이 샀어요.", "오늘 밤에 비가 올까요?"),
    "cs": ("Dobrý den, máma peče bílý chléb.", "Malý pes běží po poli.", "Prosím vás, kolik je hodin?"),
    "el": ("Καλημέρα, πώς είσαι;", "Η μαμά μου πήρε μπανάνες και ψωμί.", "Φεύγω με το βαπόρι."),
    "ro": ("Bună ziua, ce mai faci?", "Mama a cumpărat pâine, brânză și prune.", "Vreau o bere bună."),
    "hu": ("Jó reggelt, hogy vagy?", "Anyám finom barna kenyeret vett.", "Bemegyek a piros boltba."),
}

# Voices of each net's data: no language and no variant of espeak-ng is in two of them.
DRIVER_LANGUAGES = (
    "en-us", "en-029", "de", "fr", "es", "it", "pt-br", "ru", "cmn-latn-pinyin", "ja", "hi", "tr",
    "fi", "id",
)  # fmt: skip
DRIVER_VARIANTS = (
    "", "f1", "f3", "m1", "m3", "m5", "m7", "klatt", "klatt3", "whisper", "Annie", "Andy", "grandpa", "steph",
    "boris", "michel", "Alicia", "Hugo", "anika", "gustave", "norbert", "aunty", "edward", "caleb",
)  # fmt: skip
JUDGE_LANGUAGES = ("en", "nl", "sv", "pl", "ko", "cs", "el", "ro", "hu")
JUDGE_VARIANTS = (
    "f2", "f4", "m2", "m4", "m6", "m8", "klatt2", "klatt4", "whisperf", "belinda", "ed", "linda", "pablo",
    "marcelo", "Denis", "grandma", "rob", "travis", "Jacky", "max",
)  # fmt: skip
UNHEARD_VOICES = (
    "en-us-nyc+f5", "en-gb-scotland+adam", "en-gb-x-gbclan+shelby", "en-gb-x-gbcwmd+zac", "en-us-nyc+benjamin",
    "en-gb-scotland+Michael", "en-gb-x-gbclan+victor", "en-us-nyc+Andrea", "en-gb-x-gbcwmd+klatt6",
)  # fmt: skip

import RoutingCore

/// A small parallel corpus that ships with the program: sentences of a toy English and their German, made by rule.
///
/// German has three genders, endings that depend on gender, case and article, the verb second, and participles and infinitives last, so
/// a translation depends on words far apart; some words are joined by `@@`, as in files.
package enum MadeCorpus {
  /// The pairs that are trained on.
  package static let trainingPairs = 2000
  /// The pairs that are held out, all of them different from those.
  package static let heldOutPairs = 200

  /// Source and target, the pairs to train on, and those held out.
  package static func texts() throws(InvalidInput) -> (training: [TextLines], heldOut: [TextLines]) {
    var random = Philox(seed: 1, stream: 0)
    var pairs: [(source: String, target: String)] = []
    var seen: Set<String> = []
    while pairs.count < trainingPairs + heldOutPairs {
      let pair = sentence(&random)
      if seen.insert(pair.source).inserted { pairs.append(pair) }
    }
    func texts(
      _ pairs: ArraySlice<(source: String, target: String)>, _ name: String
    ) throws(InvalidInput) -> [TextLines] {
      [
        try TextLines(Array(pairs.map(\.source).joined(separator: "\n").utf8), name: "the made \(name) source"),
        try TextLines(Array(pairs.map(\.target).joined(separator: "\n").utf8), name: "the made \(name) target"),
      ]
    }
    return (try texts(pairs[..<trainingPairs], "training"), try texts(pairs[trainingPairs...], "held-out"))
  }

  // MARK: - The grammar

  private enum Gender: Int { case masculine, feminine, neuter }

  private static let nouns: [(english: String, german: String, gender: Gender)] = [
    ("man", "mann", .masculine), ("dog", "hund", .masculine), ("fire@@ man", "feuer@@ wehr@@ mann", .masculine),
    ("woman", "frau", .feminine), ("cat", "katze", .feminine), ("clock", "uhr", .feminine),
    ("child", "kind", .neuter), ("horse", "pferd", .neuter), ("bi@@ cycle", "fahr@@ rad", .neuter),
  ]
  private static let adjectives = [
    ("old", "alt"), ("young", "jung"), ("small", "klein"), ("white", "weiß"), ("beauti@@ ful", "schön"),
  ]
  /// English: present, participle, infinitive; German likewise.
  private static let verbs = [
    (["sees", "seen", "see"], ["sieht", "ge@@ sehen", "sehen"]),
    (["finds", "found", "find"], ["findet", "ge@@ funden", "finden"]),
    (["carries", "carried", "carry"], ["trägt", "ge@@ tragen", "tragen"]),
    (["draws", "drawn", "draw"], ["zeichnet", "ge@@ zeichnet", "zeichnen"]),
  ]
  private static let adverbs = [("today", "heute"), ("often", "oft"), ("now", "jetzt")]

  /// Articles and endings of adjectives by gender; definite before indefinite, subject before object.
  private static let articles = [
    [["der", "die", "das"], ["den", "die", "das"]], [["ein", "eine", "ein"], ["einen", "eine", "ein"]],
  ]
  private static let endings = [
    [["e", "e", "e"], ["en", "e", "e"]], [["er", "e", "es"], ["en", "e", "es"]],
  ]

  private static func sentence(_ random: inout Philox) -> (source: String, target: String) {
    let (subject, object) = (phrase(isObject: false, &random), phrase(isObject: true, &random))
    let verb = verbs[draw(verbs.count, &random)]
    let adverb = draw(2, &random) == 0 ? adverbs[draw(adverbs.count, &random)] : nil
    let (english, finite, last): (String, String, String?) =
      switch draw(3, &random) {
      case 0: (verb.0[0], verb.1[0], nil)
      case 1: ("has \(verb.0[1])", "hat", verb.1[1])
      default: ("will \(verb.0[2])", "wird", verb.1[2])
      }
    // An adverb in front changes places of subject and verb in German only.
    let source: [String?] = [adverb?.0, subject.english, english, object.english, "."]
    let clause = adverb == nil ? [subject.german, finite] : [finite, subject.german]
    let target = [adverb?.1] + clause + [object.german, last, "."]
    return (source.compactMap { $0 }.joined(separator: " "), target.compactMap { $0 }.joined(separator: " "))
  }

  private static func phrase(isObject: Bool, _ random: inout Philox) -> (english: String, german: String) {
    let noun = nouns[draw(nouns.count, &random)]
    let article = draw(2, &random)
    let adjective = draw(2, &random) == 0 ? adjectives[draw(adjectives.count, &random)] : nil
    let (place, gender) = (isObject ? 1 : 0, noun.gender.rawValue)
    let isVowel = "aeiou".contains((adjective?.0 ?? noun.english).prefix(1))
    let english = [article == 0 ? "the" : isVowel ? "an" : "a", adjective?.0, noun.english]
    let german = [
      articles[article][place][gender], adjective.map { $0.1 + endings[article][place][gender] }, noun.german,
    ]
    return (english.compactMap { $0 }.joined(separator: " "), german.compactMap { $0 }.joined(separator: " "))
  }

  private static func draw(_ count: Int, _ random: inout Philox) -> Int {
    Int(UInt64(count).multipliedFullWidth(by: random.next()).high)
  }
}

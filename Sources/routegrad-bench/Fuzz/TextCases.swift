/// Texts: to train on, and to translate.
enum TextCases {
  static func make(_ format: FuzzFormat, _ damage: Damage, _ dice: inout Dice) -> FuzzCase {
    var fuzzCase = FuzzCase(format)
    if format == .text {
      fuzzCase.files = [.init("text.txt", text(damage, &dice))]
      fuzzCase += ["train", "language-model", "--text", "text.txt", "--batch", "2"]
      fuzzCase += [
        "--context", dice.one(of: ["1", "2", "4", "8"]), "--tokens", dice.one(of: ["bytes", "whitespace"]),
      ]
      if dice.percent(30) { fuzzCase += ["--vocabulary", dice.one(of: ["1", "2", "300"])] }
      if dice.percent(30) { fuzzCase += ["--held-out", dice.one(of: ["0", "50", "99"])] }
    } else {
      let source = text(damage, &dice)
      let lines = source.count { $0 == 0x0A } + (source.last == 0x0A || source.isEmpty ? 0 : 1)
      var target = text(.none, lines: lines, &dice)
      if target.last != 0x0A, lines > 0 { target.append(0x0A) }
      if dice.percent(5) { target += Array("one more\n".utf8) }
      fuzzCase.files = [.init("source.txt", source), .init("target.txt", target)]
      fuzzCase += ["train", "translation", "--source", "source.txt", "--target", "target.txt", "--batch-tokens", "32"]
      if dice.percent(60) { fuzzCase += ["--valid-source", "source.txt", "--valid-target", "target.txt"] }
      fuzzCase += ["--context", dice.one(of: ["1", "2", "8", "32"]), "--tokens", dice.one(of: ["bytes", "words"])]
      if dice.percent(30) { fuzzCase += ["--vocabulary", dice.one(of: ["1", "2", "300"])] }
      if dice.percent(20) { fuzzCase += ["--bleu-sentences", "2", "--beam", dice.one(of: ["1", "2"])] }
    }
    fuzzCase += sizes(&dice)
    if dice.percent(20) { fuzzCase += ["--capacity-factor", dice.one(of: ["1", "0.01", "1e308", "5e-324"])] }
    if dice.percent(20) { fuzzCase += ["--dropout", dice.one(of: ["0.1", "0.999999999", "5e-324"])] }
    if dice.percent(20) { fuzzCase += ["--learning-rate", dice.one(of: ["1e-3", "1e308", "5e-324", "1e30"])] }
    fuzzCase += ["--quiet", "--threads", dice.percent(85) ? "1" : "2"]
    return fuzzCase
  }

  /// A model that takes no time, and where it goes.
  static func sizes(_ dice: inout Dice) -> [String] {
    let router = dice.one(of: ["switch", "switch", "sparsemixer", "sparsemixer-v2", "gshard", "base", "masked-switch"])
    return [
      "--width", "4", "--heads", "2", "--layers", "2", "--hidden", "4", "--experts", dice.one(of: ["1", "2", "3"]),
      "--steps", dice.one(of: ["1", "2"]), "--router", router, "--output", "out",
    ]
  }

  private static let words = ["a", "dog", "the", "cat", "sees", "bi@@ cycle", "é", "狗", ".", "1,000", "-", "&quot;"]

  /// A text of a few lines.
  static func text(_ damage: Damage, lines: Int? = nil, _ dice: inout Dice) -> [UInt8] {
    let count = lines ?? dice.among(1...12)
    var lines = (0..<count).map { _ in
      (0..<dice.among(1...9)).map { _ in dice.one(of: words) }.joined(separator: " ")
    }
    if damage == .bent, !lines.isEmpty {
      let k = dice.below(lines.count)
      lines[k] = dice.one(of: [
        "", " ", "@@", "@@ @@", "a@@", "\u{0}", "\u{FEFF}a", "a\u{2028}b", "\r", "a\r\nb", "<unk> <s> </s> <pad>",
        "e\u{301}",
        String(repeating: "x", count: 20_000), String(repeating: "y ", count: 5000), "a\u{3000}b", "\t\t", "👩‍👩‍👧‍👦",
      ])
      if dice.percent(20) { lines = [] }
    }
    var bytes = Array(lines.joined(separator: "\n").utf8)
    if !lines.isEmpty, dice.percent(90) { bytes.append(0x0A) }
    if damage == .broken { for _ in 0..<dice.among(1...3) { ByteMutation.apply(to: &bytes, &dice) } }
    return bytes
  }
}

import FileFormats

/// What a run comes to.
struct CaseVerdict: Sendable, Equatable {
  enum Kind: String, Sendable, CaseIterable {
    /// A result, with a status that says so.
    case answered
    /// A status that says what is wrong, and one line of it.
    case refused
    /// Ended by a signal.
    case trap
    /// Not done in time.
    case hang
    /// More memory than allowed.
    case memory
    /// A status that is not documented.
    case status
    /// A refusal that is not one line, or has internal words.
    case words
    /// A result that is not what it should be: no JSON, or numbers that are not finite.
    case result
    /// A refusal that left something behind.
    case files

    var isFinding: Bool { self != .answered && self != .refused }
  }

  var kind: Kind
  /// What was found or said, in one line.
  var note = ""
}

extension CaseVerdict {
  /// Judges a run.
  init(_ run: CaseRun, of fuzzCase: FuzzCase, limits: CaseRun.Limits) {
    switch run.end {
    case .timeout:
      self.init(kind: .hang, note: "not done after \(Int(run.seconds)) s")
    case .signal(let number):
      // A limit of memory shows as an allocation that fails.
      self.init(
        kind: run.memory > limits.memory ? .memory : .trap,
        note: "signal \(number), \(run.memory) MiB: \(Self.words(run.error))")
    case .status(let status):
      if run.memory > limits.memory {
        self.init(kind: .memory, note: "\(run.memory) MiB, status \(status)")
      } else if [0, 1, 2].contains(status) {
        self = Self.answer(run, fuzzCase, status)
      } else if [64, 65, 66, 73].contains(status) {
        self = Self.refusal(run)
      } else {
        self.init(kind: .status, note: "status \(status): \(Self.words(run.error))")
      }
    }
  }

  // MARK: - Answers

  private static func answer(_ run: CaseRun, _ fuzzCase: FuzzCase, _ status: Int) -> CaseVerdict {
    let command = fuzzCase.arguments.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
    if status > 0, command != "verify", command != "lint" {
      return CaseVerdict(kind: .status, note: "status \(status) of \(command): \(words(run.error))")
    }
    if fuzzCase.asksForHelp { return CaseVerdict(kind: .answered) }
    switch fuzzCase.result {
    case .json:
      // A later '--format' wins over the case's own, and so does '--output'.
      if fuzzCase.format != .options, let fault = notJSON(run.output) { return CaseVerdict(kind: .result, note: fault) }
    case .jsonLines:
      for line in run.output.split(separator: 0x0A) {
        if let fault = notJSON(Array(line)) { return CaseVerdict(kind: .result, note: fault) }
      }
    case .text: break
    }
    // What the input says may be repeated; and the lint speaks of NaN itself, and of a router's 'null'.
    if command != "lint", let word = notFinite(run.output), !fuzzCase.saysNotFinite {
      return CaseVerdict(kind: .result, note: "the result has the word \(word)")
    }
    return CaseVerdict(kind: .answered)
  }

  private static func notJSON(_ bytes: [UInt8]) -> String? {
    do {
      _ = try JSONParser.parse(bytes)
      return nil
    } catch {
      return "the result is no JSON: line \(error.line), \(error.path): \(error.expectation)"
    }
  }

  /// The first word that stands for a number that is not finite.
  static func notFinite(_ bytes: [UInt8]) -> String? {
    bytes.split {
      !(UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 >= 0x80)
    }
    .lazy.filter { (3...8).contains($0.count) }.map { String(decoding: $0, as: UTF8.self).lowercased() }
    .first { ["nan", "inf", "infinity"].contains($0) }
  }

  // MARK: - Refusals

  /// What only the program's own text has.
  private static let internals = [
    "JSONError(", "InvalidInput(", "Optional(", "Fatal error", "Swift.", "Error(", "DecodingError", "0x0000",
    "RoutingCore.", "fatalError",
    "NSCocoa", "Foundation.", "errno", "UnsafeBuffer", "routegrad: routegrad:", "routegrad: : ", "file:///",
  ]

  private static func refusal(_ run: CaseRun) -> CaseVerdict {
    // Training that fails at a step, with losses that are not finite, has begun: what it has written and said stays.
    let said = String(decoding: run.error, as: UTF8.self)
    if said.contains(#/: step [0-9]+:\s/#) { return CaseVerdict(kind: .answered, note: words(run.error)) }
    guard let last = run.error.last else { return CaseVerdict(kind: .words, note: "nothing on standard error") }
    if last != 0x0A || run.error.count(where: { $0 == 0x0A }) != 1 || run.error.contains(0x0D) {
      return CaseVerdict(kind: .words, note: "expected one line on standard error: \(words(run.error))")
    }
    if let byte = run.error.first(where: { $0 < 0x20 && $0 != 0x0A || $0 == 0x7F }) {
      return CaseVerdict(kind: .words, note: "the control character \(byte) on standard error: \(words(run.error))")
    }
    if let word = internals.first(where: said.contains) {
      return CaseVerdict(kind: .words, note: "'\(word)' on standard error: \(words(run.error))")
    }
    if said.count > 1200 {
      return CaseVerdict(
        kind: .words, note: "a line of \(run.error.count) bytes on standard error: \(words(run.error))")
    }
    if !run.output.isEmpty {
      return CaseVerdict(
        kind: .files, note: "\(run.output.count) bytes on standard output, and then: \(words(run.error))")
    }
    if !run.changedFiles.isEmpty {
      return CaseVerdict(
        kind: .files, note: "changed \(run.changedFiles.joined(separator: ", ")), and then: \(words(run.error))")
    }
    return CaseVerdict(kind: .refused, note: words(run.error))
  }

  /// The first words of what was said, on one line.
  private static func words(_ bytes: [UInt8]) -> String {
    let text = String(decoding: bytes.prefix(400), as: UTF8.self)
    return String(text.map { $0.isNewline ? "⏎" : $0 })
  }
}

extension FuzzCase {
  fileprivate var asksForHelp: Bool {
    arguments.contains { ["--help", "-h", "--version", "help"].contains(String(decoding: $0, as: UTF8.self)) }
  }

  /// Whether a number that is not finite is written out in what the program is given.
  fileprivate var saysNotFinite: Bool {
    ([input] + arguments + files.map(\.bytes)).contains { CaseVerdict.notFinite($0) != nil }
  }
}

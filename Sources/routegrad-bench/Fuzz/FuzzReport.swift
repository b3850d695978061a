import FileFormats
import RouteGrad

/// How many cases of each format came to what.
struct FuzzReport: Sendable {
  /// A case that should not have ended as it did.
  struct Finding: Sendable {
    var number: Int
    var format: FuzzFormat
    var verdict: CaseVerdict
    var command: String
  }

  var seed: UInt64
  private(set) var counts: [FuzzFormat: [CaseVerdict.Kind: Int]] = [:]
  private(set) var findings: [Finding] = []
  private(set) var longest = 0.0
  private(set) var longestCase = 0
  private(set) var largest = 0
  var seconds = 0.0

  init(seed: UInt64) { self.seed = seed }

  mutating func add(_ number: Int, _ fuzzCase: FuzzCase, _ verdict: CaseVerdict, _ run: CaseRun) {
    counts[fuzzCase.format, default: [:]][verdict.kind, default: 0] += 1
    if run.seconds > longest { (longest, longestCase) = (run.seconds, number) }
    largest = max(largest, run.memory)
    guard verdict.kind.isFinding else { return }
    findings.append(Finding(number: number, format: fuzzCase.format, verdict: verdict, command: fuzzCase.shellCommand))
    findings.sort { $0.number < $1.number }
  }

  func count(_ kind: CaseVerdict.Kind) -> Int { counts.values.reduce(0) { $0 + ($1[kind] ?? 0) } }

  var cases: Int { counts.values.reduce(0) { $0 + $1.values.reduce(0, +) } }

  /// A table of formats and verdicts.
  var table: String {
    let kinds = CaseVerdict.Kind.allCases
    func line(_ cells: [String]) -> String {
      cells.enumerated().map { k, cell in
        let space = String(repeating: " ", count: max(0, (k == 0 ? 15 : 8) - cell.count))
        return k == 0 ? cell + space : space + cell
      }.joined() + "\n"
    }
    var text = line(["format"] + kinds.map(\.rawValue))
    for format in FuzzFormat.allCases {
      guard let row = counts[format] else { continue }
      text += line([format.rawValue] + kinds.map { "\(row[$0] ?? 0)" })
    }
    text += line(["all"] + kinds.map { "\(count($0))" })
    let rate = seconds > 0 ? (Double(cases) / seconds * 10).rounded() / 10 : 0
    return text
      + "\(cases) cases of seed \(seed) in \(Int(seconds.rounded())) s, \(rate) a second; "
      + "the longest \((longest * 100).rounded() / 100) s (case \(longestCase)), the largest \(largest) MiB\n"
  }

  /// The same, with the findings.
  var json: JSONValue {
    [
      "workload": "fuzz", "seed": .string("\(seed)"), "cases": JSONValue(cases), "seconds": JSONValue(seconds),
      "longestSeconds": JSONValue(longest), "longestCase": JSONValue(longestCase), "largestMiB": JSONValue(largest),
      "counts": .object(
        FuzzFormat.allCases.compactMap { format in
          guard let row = counts[format] else { return nil }
          return .init(
            key: format.rawValue,
            value: .object(CaseVerdict.Kind.allCases.map { .init(key: $0.rawValue, value: JSONValue(row[$0] ?? 0)) }))
        }),
      "findings": .array(
        findings.map {
          [
            "case": JSONValue($0.number), "format": .string($0.format.rawValue),
            "verdict": .string($0.verdict.kind.rawValue),
            "note": .string($0.verdict.note), "command": .string($0.command),
          ]
        }),
    ]
  }
}

extension FuzzCase {
  /// What to type in the case's folder.
  var shellCommand: String {
    let words = arguments.map { argument -> String in
      let isPlain = argument.allSatisfy {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 || UInt8(ascii: "+")...UInt8(ascii: ":") ~= $0
          || $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "_")
      }
      if isPlain, !argument.isEmpty { return String(decoding: argument, as: UTF8.self) }
      let quoted = argument.map { byte -> String in
        if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\\") { return "\\" + String(UnicodeScalar(byte)) }
        if byte < 0x20 || byte >= 0x7F { return "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }
        return String(UnicodeScalar(byte))
      }
      return "$'" + quoted.joined() + "'"
    }
    return "routegrad " + words.joined(separator: " ") + (input.isEmpty ? "" : " < ../input")
  }
}

import FileFormats
import RouteGrad

/// Files of gradient samples, for `verify` and `assess`.
enum SampleCases {
  static func make(_ format: FuzzFormat, _ damage: Damage, _ dice: inout Dice) -> FuzzCase {
    var fuzzCase = FuzzCase(format)
    let isMixture = dice.percent(60)
    let estimator = dice.one(
      of: isMixture
        ? [
          "sparsemixer", "exact", "midpoint", "reinforce", "conventional", "straight-through", "sparsemixer-v2",
          "sparsemixer-v2-top2",
        ]
        : ["exact", "reinforce", "reinmax", "straight-through", "gumbel-softmax-st"])
    let plain = plainProblem(isMixture: isMixture)
    let outcomes = outcomes(of: estimator, plain)
    let problem =
      dice.percent(80) ? plain : ProblemCases.problem(isTabulated: false, isMixture: isMixture, experts: 3, &dice)
    let rows = rows(outcomes, &dice)
    let (name, bytes): (String, [UInt8]) =
      switch format {
      case .npy: ("samples.npy", npy(rows, damage, &dice))
      case .npz: ("samples.npz", npz(rows, damage, &dice))
      case .csv: ("samples.csv", csv(rows, damage, &dice))
      default: ("samples.jsonl", lines(rows, outcomes, format, damage, &dice))
      }
    var samples = bytes
    if damage == .broken { for _ in 0..<dice.among(1...3) { ByteMutation.apply(to: &samples, &dice) } }
    fuzzCase.files = [.init("problem.json", problem.bytes)]
    let isPiped = dice.percent(30)
    if isPiped { fuzzCase.input = samples } else { fuzzCase.files.append(.init(name, samples)) }
    if dice.percent(30) {
      assess(isPiped ? "-" : name, isMixture: isMixture, &fuzzCase, &dice)
      return fuzzCase
    }
    fuzzCase += ["verify", isPiped ? "-" : name, "--problem", "problem.json", "--threads", "1"]
    if format == .outcomeLines || dice.percent(60) {
      fuzzCase += ["--estimator", estimator]
    } else {
      fuzzCase += ["--target", isMixture ? dice.one(of: ProblemCases.targets) : "expected-loss"]
      let bounds = [
        "-1,1", "-1,1", "-1,1", "-100,100", "-1e100,1e100", "-8e307,8e307", "-1e-300,1e-300", "-1e308,1e308",
      ]
      fuzzCase += ["--bounds", dice.one(of: bounds)]
    }
    for (option, values) in [
      ("--false-fail-rate", ["1e-6", "0.5", "1e-300", "0.01"]), ("--false-pass-rate", ["1e-3", "1e-300", "0.5"]),
      ("--detectable-bias", ["0.05", "0.001", "1", "1e300"]), ("--tolerance", ["1e-5", "0", "1e-300", "0.999"]),
      ("--max-samples", ["1", "2", "5", "9223372036854775807"]),
    ] where dice.percent(12) { fuzzCase += [option, dice.one(of: values)] }
    if dice.percent(40) {
      fuzzCase += ["--format", "json"]
      fuzzCase.result = .json
    }
    return fuzzCase
  }

  /// Arguments of `assess`.
  private static func assess(_ samples: String, isMixture: Bool, _ fuzzCase: inout FuzzCase, _ dice: inout Dice) {
    fuzzCase += ["assess", samples, "--problem", "problem.json", "--threads", dice.one(of: ["1", "2"])]
    for (option, values) in [
      ("--target", isMixture ? ProblemCases.targets : ["expected-loss"]), ("--draws", ["1", "2"]),
      ("--estimators", ["reinmax", "exact,darn,zgr", "all", "gumbel-softmax-st"]),
      ("--confidence", ["0.5", "0.9", "0.999"]), ("--seed", ["0", "18446744073709551615"]),
      ("--max-samples", ["2", "64", "9223372036854775807"]),
    ] where dice.percent(20) { fuzzCase += [option, dice.one(of: values)] }
    if dice.percent(60) {
      let format = dice.one(of: ["json", "csv", "markdown"])
      fuzzCase += ["--format", format]
      if format == "json" { fuzzCase.result = .json }
    }
  }

  /// A problem of three experts that is no trouble of itself.
  private static func plainProblem(isMixture: Bool) -> FuzzTree {
    let logits = FuzzTree([0.3, -1.2, 0.8])
    if isMixture {
      return [
        "schema": "routegrad.problem/1", "kind": "mixture", "logits": logits,
        "expertOutputs": FuzzTree([[0.1, 0.2], [1, -0.4], [0, 0.3]]),
        "loss": ["type": "log-cosh", "scales": FuzzTree([1.0, 2]), "targets": FuzzTree([0.5, -0.5])],
      ]
    }
    return [
      "schema": "routegrad.problem/1", "kind": "categorical", "logits": logits,
      "objective": ["type": "separable-power", "exponent": .raw("3"), "targets": FuzzTree([0.45, 0.45, 0.45])],
    ]
  }

  /// What an estimator can give on a plain problem, as `routegrad outcomes` writes it; nothing where it cannot.
  private static func outcomes(of estimator: String, _ problem: FuzzTree) -> [FuzzTree] {
    guard let problems = try? ProblemFile.problems(of: problem.bytes, file: ""),
      let routed = try? FiledProblem.route(problems, mask: nil).problems.first,
      let estimator = try? EstimatorRegistry.estimator(estimator),
      let lines = try? OutcomeLines(of: estimator, on: routed, location: "")
    else { return [] }
    return lines.text(0..<min(lines.count, 64)).split(separator: "\n").compactMap {
      (try? JSONParser.parse(Array($0.utf8))).map { FuzzTree($0) }
    }
  }

  /// Samples of an estimator, some of them wrong.
  private static func rows(_ outcomes: [FuzzTree], _ dice: inout Dice) -> [[Double]] {
    let gradients: [[Double]] = outcomes.compactMap {
      guard case .list(let entries)? = $0["gradient"] else { return nil }
      return entries.compactMap { if case .raw(let text) = $0 { Double(text) } else { nil } }
    }
    let scale = dice.percent(50) ? nil : dice.one(of: ProblemCases.Scale.allCases)
    return (0..<dice.weighted([(2, 0), (13, 1), (50, 8), (30, 100), (5, 1500)])).map { _ in
      guard let scale else { return gradients.isEmpty ? [0.1, -0.3, 0.2] : dice.one(of: gradients) }
      return scale.numbers(3, &dice)
    }
  }

  // MARK: - Formats

  private static func csv(_ rows: [[Double]], _ damage: Damage, _ dice: inout Dice) -> [UInt8] {
    var cells = rows.map { $0.map { "\($0)" } }
    if damage == .bent, !cells.isEmpty {
      for _ in 0..<dice.among(1...3) {
        let k = dice.below(cells.count)
        switch dice.below(5) {
        case 0: cells[k].append("1")
        case 1: cells[k] = Array(cells[k].dropLast())
        case 2: cells[k] = ["a", "b", "c"]
        default:
          guard !cells[k].isEmpty else { continue }
          cells[k][dice.below(cells[k].count)] =
            dice.percent(50)
            ? dice.one(of: Hostile.numbers) : dice.one(of: Hostile.brokenNumbers + ["\"1\"", "\"", "1;2"])
        }
      }
    }
    let end = dice.one(of: ["\n", "\n", "\r\n", "\r"])
    let separator = dice.weighted([(80, ","), (10, ", "), (5, ";"), (5, "\t")])
    let head = dice.percent(15) ? "a,b,c" + end : ""
    return Array((head + cells.map { $0.joined(separator: separator) }.joined(separator: end) + end).utf8)
  }

  private static func lines(
    _ rows: [[Double]], _ outcomes: [FuzzTree], _ format: FuzzFormat, _ damage: Damage, _ dice: inout Dice
  ) -> [UInt8] {
    var lines: [FuzzTree] = outcomes
    if format == .gradientLines {
      let fields = dice.below(3)
      lines = rows.map { row in
        guard fields > 0, !outcomes.isEmpty else { return ["gradient": FuzzTree(row)] }
        let outcome = dice.one(of: outcomes)
        var line: FuzzTree = ["gradient": dice.percent(90) ? outcome["gradient"] ?? FuzzTree(row) : FuzzTree(row)]
        line["choice"] = outcome["choice"]
        if fields > 1 { line["coins"] = outcome["coins"] }
        return line
      }
    } else if lines.isEmpty {
      lines = rows.map {
        ["choice": FuzzTree([0]), "coins": .list([]), "probability": .raw("1"), "gradient": FuzzTree($0)]
      }
    }
    let changes = damage == .bent || dice.percent(30) ? dice.among(1...3) : 0
    for _ in 0..<changes where !lines.isEmpty {
      let k = dice.below(lines.count)
      if damage == .bent, dice.percent(15) {
        if dice.percent(50) { lines.append(lines[k]) } else { lines.remove(at: k) }
      } else {
        lines[k].mutate(&dice, keepsShape: damage == .none)
      }
    }
    let end = Array(dice.one(of: ["\n", "\n", "\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\n\n"]).utf8)
    return lines.flatMap { $0.bytes + end }
  }

  private static func npy(_ rows: [[Double]], _ damage: Damage, _ dice: inout Dice) -> [UInt8] {
    var type = dice.weighted([(60, "<f8"), (15, "<f4"), (10, ">f8"), (10, ">f4"), (5, "<f2")])
    let isFortran = dice.percent(4)
    var shape = "(\(rows.count), 3)"
    var flag = isFortran ? "True" : "False"
    let ordered = isFortran ? (0..<3).flatMap { k in rows.map { $0[k] } } : rows.flatMap { $0 }
    var data: [UInt8] = []
    for number in ordered {
      switch type {
      case "<f4": data.append(littleEndian: Float(number).bitPattern)
      case ">f4": data.append(littleEndian: Float(number).bitPattern.byteSwapped)
      case ">f8": data.append(littleEndian: number.bitPattern.byteSwapped)
      case "<f2": data += SafeTensorsBytes.bytes([number], as: "F16")
      default: data.append(littleEndian: number.bitPattern)
      }
    }
    var version: [UInt8] = [dice.weighted([(80, 1), (10, 2), (10, 3)]), 0]
    var extra = ""
    var length: UInt32?
    if damage == .bent {
      switch dice.below(8) {
      case 0:
        type = dice.one(of: [
          "|O", "<f16", "<c16", "<i8", "|u1", "<U3", "f8", "<f8 ", "", "=f8", "<f80000000000000000000",
        ])
      case 1, 2:
        shape = dice.one(of: [
          "()", "(3,)", "(0, 3)", "(1, 0)", "(-1, 3)", "(4294967296, 4294967296)", "(9223372036854775807, 3)",
          "(3074457345618258603, 3)", "(1, 3, 1)", "(99999999999999999999, 3)", "(1, 3", "3", "(1L, 3)", "(0.5, 3)",
          "(1000, 3)",
        ])
      case 3: flag = dice.one(of: ["true", "1", "", "None", "'False'"])
      case 4: extra = dice.one(of: ["'x': 1, ", "'descr': '<f8', ", "}", "\u{0}", "\n\n", "'fortran_order': True, "])
      case 5: length = dice.one(of: [0, 1, 9, 117, 65535, .max])
      case 6: version = [dice.one(of: [0, 2, 4, 255]), dice.below(2) == 0 ? 0 : 1]
      default: data = dice.percent(50) ? data + [1, 2, 3] : Array(data.dropLast(dice.among(1...9)))
      }
    }
    var header = Array("{'descr': '\(type)', 'fortran_order': \(flag), 'shape': \(shape), \(extra)}".utf8)
    let fixed = version[0] > 1 ? 12 : 10
    header += [UInt8](repeating: 0x20, count: (64 - (fixed + header.count + 1) % 64) % 64) + [0x0A]
    var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + version
    if version[0] > 1 {
      bytes.append(littleEndian: length ?? UInt32(header.count))
    } else {
      bytes.append(littleEndian: UInt16(truncatingIfNeeded: length ?? UInt32(header.count)))
    }
    return bytes + header + data
  }

  /// A zip archive of arrays, stored or deflated (in blocks that are stored).
  private static func npz(_ rows: [[Double]], _ damage: Damage, _ dice: inout Dice) -> [UInt8] {
    var bytes: [UInt8] = []
    var directory: [UInt8] = []
    var names = dice.one(of: [["samples.npy"], ["arr_0.npy"], ["samples.npy"], ["samples.npy", "other.npy"], []])
    var (method, flags, sizes): (UInt16, UInt16, UInt32?) = (dice.percent(50) ? 0 : 8, 0, nil)
    var checksum: UInt32?
    if damage == .bent {
      switch dice.below(5) {
      case 0: method = dice.one(of: [1, 9, 12, 99])
      case 1: flags = dice.one(of: [1, 8, 0x800, 0x40])
      case 2: sizes = dice.one(of: [0, 1, 0x7FFF_FFFF, .max])
      case 3: checksum = 0xDEAD_BEEF
      default: names = dice.one(of: [["../x.npy"], [""], ["samples.txt"], ["samples.npy", "samples.npy"], ["é.npy"]])
      }
    }
    for name in names {
      let content = npy(rows, damage == .bent && dice.percent(40) ? .bent : .none, &dice)
      var packed = content
      if method == 8 {
        packed = []
        var left = content[...]
        repeat {
          let block = left.prefix(65535)
          left = left.dropFirst(block.count)
          packed.append(left.isEmpty ? 1 : 0)
          packed.append(littleEndian: UInt16(block.count))
          packed.append(littleEndian: ~UInt16(block.count))
          packed += block
        } while !left.isEmpty
      }
      func entry(_ signature: UInt32) -> [UInt8] {
        var entry: [UInt8] = []
        entry.append(littleEndian: signature)
        if signature == 0x0201_4B50 { entry.append(littleEndian: UInt16(20)) }
        for number in [20, flags, method, 0, 0] { entry.append(littleEndian: number) }
        entry.append(littleEndian: checksum ?? UInt32(crc32(of: content)))
        entry.append(littleEndian: sizes ?? UInt32(packed.count))
        entry.append(littleEndian: sizes ?? UInt32(content.count))
        entry.append(littleEndian: UInt16(name.utf8.count))
        entry.append(littleEndian: UInt16(0))
        return entry
      }
      directory += entry(0x0201_4B50)
      directory += [UInt8](repeating: 0, count: 10)
      directory.append(littleEndian: UInt32(bytes.count))
      directory += name.utf8
      bytes += entry(0x0403_4B50) + name.utf8 + packed
    }
    let start = bytes.count
    bytes += directory
    bytes.append(littleEndian: UInt32(0x0605_4B50))
    for number in [0, 0, names.count, names.count] { bytes.append(littleEndian: UInt16(number)) }
    bytes.append(littleEndian: UInt32(directory.count))
    bytes.append(littleEndian: UInt32(start))
    bytes.append(littleEndian: UInt16(0))
    return bytes
  }
}

import FileFormats

/// Folders of runs: gone on with, compared, translated with.
enum RunCases {
  static func make(_ format: FuzzFormat, _ damage: Damage, _ runs: RunSamples, _ dice: inout Dice) -> FuzzCase {
    var fuzzCase = FuzzCase(format)
    switch format {
    case .comparison:
      fuzzCase.files = folder("runs", runs.comparison, damage, &dice)
      let isStatus = dice.percent(25)
      fuzzCase += ["compare", isStatus ? "--status" : "--from", "runs"]
      let form = dice.one(of: ["json", "table", "csv", "markdown"])
      fuzzCase += ["--format", form]
      if form == "json" { fuzzCase.result = .json }
      if !isStatus, dice.percent(20) { fuzzCase += ["--baseline", dice.one(of: ["exact", "switch", "none"])] }
    case .translate:
      let isInputDamaged = dice.percent(40)
      fuzzCase.files = folder("run", runs.translation, isInputDamaged ? .none : damage, &dice)
      let input = TextCases.text(isInputDamaged ? damage : .none, &dice)
      if dice.percent(50) {
        fuzzCase.files.append(.init("input.txt", input))
        fuzzCase += ["translate", "run", "--input", "input.txt"]
      } else {
        fuzzCase.input = input
        fuzzCase += ["translate", "run"]
      }
      if dice.percent(20) {
        fuzzCase.files.append(.init("reference.txt", dice.percent(50) ? input : TextCases.text(.none, &dice)))
        fuzzCase += ["--reference", "reference.txt"]
      }
      if dice.percent(30) { fuzzCase += ["--beam", dice.one(of: ["1", "2", "16", "0"])] }
      if dice.percent(30) { fuzzCase += ["--length-penalty", dice.one(of: ["0", "1e308", "-1e308", "5e-324", "-1"])] }
    case .rates: makeRates(&fuzzCase, damage, &dice)
    default:
      let model = dice.weighted([(60, runs.mixture), (20, runs.language), (20, runs.translation)])
      fuzzCase.files = folder("run", model, damage, &dice)
      fuzzCase.files += [
        .init("text.txt", RunSamples.text), .init("source.txt", RunSamples.source),
        .init("target.txt", RunSamples.target),
      ]
      fuzzCase += ["train", "resume", "run"]
      if dice.percent(20) { fuzzCase += ["--previous"] }
    }
    fuzzCase += ["--threads", dice.percent(85) ? "1" : "2"]
    return fuzzCase
  }

  private static func makeRates(_ fuzzCase: inout FuzzCase, _ damage: Damage, _ dice: inout Dice) {
    var rates: FuzzTree = [
      "schema": "routegrad.rates/1", "model": "mixture-regression", "shared": .raw("0.75"),
      "rates": ["switch": .raw("0.01"), "exact": .raw(dice.percent(50) ? "0.02" : dice.one(of: Hostile.numbers))],
    ]
    if damage == .bent { rates.mutate(&dice) }
    var bytes = rates.bytes
    if damage == .broken { ByteMutation.apply(to: &bytes, &dice) }
    fuzzCase.files = [.init("rates.json", bytes)]
    fuzzCase += ["compare", "--rates", "rates.json", "--routers", "switch,exact", "--seeds", "2", "--steps", "2"]
    fuzzCase += ["--batch", "4", "--experts", "3", "--audit-every", "0", "--format", "json"]
    fuzzCase.result = .json
  }

  // MARK: - Folders

  /// A folder of which one file is damaged; without damage, the plan has other numbers.
  private static func folder(_ name: String, _ files: RunSamples.Folder, _ damage: Damage, _ dice: inout Dice)
    -> RunSamples.Folder
  {
    var files = files
    let k = dice.below(files.count)
    switch damage {
    case .none: if dice.percent(80) { goOn(&files, &dice) }
    case .broken:
      if dice.percent(10) {
        files.remove(at: k)
      } else {
        for _ in 0..<dice.among(1...3) { ByteMutation.apply(to: &files[k].bytes, &dice) }
        if files[k].isCheckpoint, dice.percent(60) { files[k].bytes = sealed(files[k].bytes) }
      }
    case .bent: bend(&files[k], &dice)
    }
    for k in files.indices { files[k].name = Array("\(name)/".utf8) + files[k].name }
    return files
  }

  /// Gives a run that is complete more steps, or other numbers to go on with.
  private static func goOn(_ files: inout RunSamples.Folder, _ dice: inout Dice) {
    for k in files.indices where files[k].isNamed("manifest.json") {
      guard let value = try? JSONParser.parse(files[k].bytes) else { continue }
      var tree = FuzzTree(value)
      guard var plan = tree["plan"] else { continue }
      plan["steps"] = .raw(dice.one(of: ["4", "5", "6", "7", "1", "3"]))
      if dice.percent(50) {
        let settings: [(String, [String])] = [
          ("learningRate", ["1e-3", "1e300", "5e-324", "1e10", "1e308"]),
          ("beta2", ["0", "0.5", "0.9999999999999999"]),
          ("clip", ["1", "5e-324", "1e308", "null"]), ("patience", ["1", "null", "9007199254740992"]),
          ("warmUp", ["0", "1", "1099511627776"]), ("evaluateEvery", ["1", "1099511627776"]),
          ("auditEvery", ["1", "null"]), ("checkpointEvery", ["1", "null", "1099511627776"]),
        ]
        for _ in 0..<dice.among(1...3) {
          let (name, values) = dice.one(of: settings)
          plan[name] = .raw(dice.one(of: values))
        }
      }
      tree["plan"] = plan
      files[k].bytes = tree.bytes
    }
  }

  private static func bend(_ file: inout FuzzCase.File, _ dice: inout Dice) {
    if file.isCheckpoint {
      bendCheckpoint(&file.bytes, &dice)
    } else if file.isNamed("manifest.json"), let value = try? JSONParser.parse(file.bytes) {
      var tree = FuzzTree(value)
      for _ in 0..<dice.among(1...2) { tree.mutate(&dice) }
      // A million steps are no fault, but take their time.
      if var plan = tree["plan"], case .raw(let text)? = plan["steps"], let steps = Double(text), steps > 50,
        steps < 2e12
      {
        plan["steps"] = .raw("6")
        tree["plan"] = plan
      }
      file.bytes = tree.bytes
    } else if file.isNamed("metrics.jsonl") {
      file.bytes.mutateLine(&dice, keepsShape: dice.percent(50))
    } else {
      for _ in 0..<dice.among(1...3) { ByteMutation.apply(to: &file.bytes, &dice) }
    }
  }

  private static func bendCheckpoint(_ bytes: inout [UInt8], _ dice: inout Dice) {
    guard var file = SafeTensorsBytes(bytes) else { return }
    switch dice.below(4) {
    case 0: file.header.mutate(&dice)
    case 1:
      let place = dice.below(file.data.count / 4) * 4
      let bits: UInt32 = dice.one(of: [0x7FC0_0000, 0x7F80_0000, 0xFF80_0000, 0x7F7F_FFFF, 1, 0x8000_0000, 0x4B80_0000])
      for k in 0..<4 { file.data[place + k] = UInt8(truncatingIfNeeded: bits >> UInt32(8 * k)) }
    default:
      let key = dice.one(of: ["step", "metricsBytes", "lossSum", "auxiliarySum", "lossCount", "schema"])
      file.header["__metadata__"]?[key] = .text(
        dice.one(of: Hostile.numbers + Hostile.brokenNumbers + ["41", "5", "100000"]))
    }
    bytes = dice.percent(90) ? sealed(file.bytes()) : file.bytes()
  }

  /// The file with a checksum that is right, so that it is read on.
  private static func sealed(_ bytes: [UInt8]) -> [UInt8] {
    let key = Array("\"crc32\": \"".utf8)
    let short = Array("\"crc32\":\"".utf8)
    var bytes = bytes
    // The reader looks for the key without a space.
    if let place = bytes.prefix(400).indices.first(where: { bytes[$0...].starts(with: key) }) {
      bytes.remove(at: place + key.count - 2)
      // The header keeps its length: a space goes to its end.
      let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
      if length >= 1, length + 7 <= bytes.count { bytes.insert(0x20, at: length + 7) }
    }
    guard let place = bytes.prefix(400).indices.first(where: { bytes[$0...].starts(with: short) }),
      place + short.count + 8 <= bytes.count
    else { return bytes }
    let digits = place + short.count..<place + short.count + 8
    bytes.replaceSubrange(digits, with: Array("00000000".utf8))
    let sum = String(crc32(of: bytes), radix: 16)
    bytes.replaceSubrange(digits, with: Array((String(repeating: "0", count: 8 - sum.count) + sum).utf8))
    return bytes
  }
}

extension FuzzCase.File {
  fileprivate func isNamed(_ end: String) -> Bool { name.suffix(end.utf8.count).elementsEqual(end.utf8) }

  fileprivate var isCheckpoint: Bool { isNamed(".safetensors") }
}

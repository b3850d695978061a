import FileFormats

/// JSON as a tree that can be bent into what is no JSON: numbers are their text.
indirect enum FuzzTree {
  /// A number, `null`, or anything else as it stands.
  case raw(String)
  case text(String)
  case list([FuzzTree])
  /// Keys may stand twice.
  case object([(key: String, value: FuzzTree)])

  /// The bytes of a file, on one line.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    write(to: &bytes)
    return bytes
  }

  private func write(to bytes: inout [UInt8]) {
    switch self {
    case .raw(let text): bytes += text.utf8
    case .text(let text): bytes += JSONWriter.line(.string(text)).utf8
    case .list(let items):
      bytes.append(UInt8(ascii: "["))
      for (k, item) in items.enumerated() {
        if k > 0 { bytes += ", ".utf8 }
        item.write(to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let fields):
      bytes.append(UInt8(ascii: "{"))
      for (k, field) in fields.enumerated() {
        if k > 0 { bytes += ", ".utf8 }
        FuzzTree.text(field.key).write(to: &bytes)
        bytes += ": ".utf8
        field.value.write(to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }
}

// MARK: - Construction

extension FuzzTree: ExpressibleByStringLiteral, ExpressibleByDictionaryLiteral {
  init(stringLiteral value: String) { self = .text(value) }

  init(dictionaryLiteral elements: (String, FuzzTree)...) { self = .object(elements.map { ($0.0, $0.1) }) }

  /// A finite number.
  init(_ number: Double) { self = .raw(JSONWriter.number(number)) }

  init(_ number: Int) { self = .raw("\(number)") }

  init(_ numbers: [Double]) { self = .list(numbers.map { FuzzTree($0) }) }

  init(_ numbers: [Int]) { self = .list(numbers.map { FuzzTree($0) }) }

  init(_ rows: [[Double]]) { self = .list(rows.map { FuzzTree($0) }) }

  init(_ value: JSONValue) {
    switch value {
    case .null: self = .raw("null")
    case .bool(let flag): self = .raw("\(flag)")
    case .number(let number): self = FuzzTree(number)
    case .string(let text): self = .text(text)
    case .numbers(let numbers): self = FuzzTree(numbers)
    case .array(let values): self = .list(values.map { FuzzTree($0) })
    case .object(let members): self = .object(members.map { ($0.key, FuzzTree($0.value)) })
    }
  }

  /// The value of a field; nil where there is none.
  subscript(key: String) -> FuzzTree? {
    get {
      guard case .object(let fields) = self else { return nil }
      return fields.first { $0.key == key }?.value
    }
    set {
      guard case .object(var fields) = self, let newValue else { return }
      if let k = fields.firstIndex(where: { $0.key == key }) {
        fields[k].value = newValue
      } else {
        fields.append((key, newValue))
      }
      self = .object(fields)
    }
  }
}

// MARK: - Mutation

extension FuzzTree {
  /// The number of values in the tree, itself included.
  var count: Int {
    switch self {
    case .raw, .text: 1
    case .list(let items): items.reduce(1) { $0 + $1.count }
    case .object(let fields): fields.reduce(1) { $0 + $1.value.count }
    }
  }

  /// Changes one value somewhere in the tree.
  ///
  /// - Parameter keepsShape: numbers become other numbers, and nothing else changes, so that the result can still be valid.
  mutating func mutate(_ dice: inout Dice, keepsShape: Bool = false) {
    var place = dice.below(count)
    if keepsShape {
      var numbers: [Int] = []
      var next = 0
      findNumbers(&next, &numbers)
      guard !numbers.isEmpty else { return }
      place = dice.one(of: numbers)
    }
    visit(&place) { value in
      if keepsShape { value = .raw(dice.one(of: Hostile.numbers)) } else { value.bend(&dice) }
    }
  }

  private func findNumbers(_ next: inout Int, _ numbers: inout [Int]) {
    if case .raw(let text) = self, Double(text) != nil { numbers.append(next) }
    next += 1
    switch self {
    case .raw, .text: return
    case .list(let items): for item in items { item.findNumbers(&next, &numbers) }
    case .object(let fields): for field in fields { field.value.findNumbers(&next, &numbers) }
    }
  }

  /// Changes the value at a place, counted from 0 in the order of the text.
  private mutating func visit(_ place: inout Int, _ change: (inout FuzzTree) -> Void) {
    if place == 0 {
      change(&self)
      place = -1
      return
    }
    place -= 1
    switch self {
    case .raw, .text: return
    case .list(var items):
      for k in items.indices where place >= 0 { items[k].visit(&place, change) }
      self = .list(items)
    case .object(var fields):
      for k in fields.indices where place >= 0 { fields[k].value.visit(&place, change) }
      self = .object(fields)
    }
  }

  /// Makes something else of this value.
  private mutating func bend(_ dice: inout Dice) {
    if dice.percent(12) {
      self = Self.anything(&dice)
      return
    }
    switch self {
    case .raw(let text):
      if let number = Double(text), dice.percent(25) {
        self = .raw(dice.percent(50) ? "\(number.nextUp)" : "\(-number)")
      } else {
        self = .raw(dice.percent(80) ? dice.one(of: Hostile.numbers) : dice.one(of: Hostile.brokenNumbers))
      }
    case .text(let text):
      self = dice.percent(70) ? .text(dice.one(of: Hostile.texts)) : .text(text + "x")
    case .list(var items):
      let k = dice.below(items.count)
      switch dice.below(items.isEmpty ? 1 : 8) {
      case 0: items.append(items.isEmpty ? .raw("1") : items[k])
      case 1, 2: items.remove(at: k)
      case 3: items = []
      case 4: items.swapAt(k, dice.below(items.count))
      case 5: items = [.list(items)]
      case 6: items = [FuzzTree](repeating: items[k], count: 2 * items.count + 1)
      default: items.insert(Self.anything(&dice), at: k)
      }
      self = .list(items)
    case .object(var fields):
      let k = dice.below(fields.count)
      switch dice.below(fields.isEmpty ? 1 : 7) {
      case 0: fields.append((dice.one(of: Hostile.texts), Self.anything(&dice)))
      case 1, 2: fields.remove(at: k)
      case 3: fields.append(fields[k])
      case 4: fields[k].key += "s"
      case 5: fields.swapAt(k, dice.below(fields.count))
      default: fields[k].value = Self.anything(&dice)
      }
      self = .object(fields)
    }
  }

  private static func anything(_ dice: inout Dice) -> FuzzTree {
    switch dice.below(9) {
    case 0: return .raw("null")
    case 1: return .raw(dice.percent(50) ? "true" : "false")
    case 2: return .list([])
    case 3: return .object([])
    case 4: return .text(dice.one(of: Hostile.texts))
    case 5: return .raw(dice.one(of: Hostile.numbers))
    case 6: return .list([.list([.raw("1")]), .raw("2")])
    case 7:
      let depth = dice.one(of: [8, 16, 17, 2000, 200_000])
      return .raw(String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
    default: return .object([("type", .text("tabulated"))])
    }
  }
}

extension [UInt8] {
  /// Changes one of some lines of JSON: what it says, or its place among the others.
  mutating func mutateLine(_ dice: inout Dice, keepsShape: Bool) {
    var lines = split(separator: 0x0A).map { Array($0) }
    guard !lines.isEmpty else { return }
    let k = dice.below(lines.count)
    switch dice.below(8) {
    case 0: lines.remove(at: k)
    case 1: lines.append(lines[k])
    case 2: lines.insert([], at: k)
    case 3: lines.swapAt(k, 0)
    default:
      guard let value = try? JSONParser.parse(lines[k]) else { return }
      var tree = FuzzTree(value)
      tree.mutate(&dice, keepsShape: keepsShape)
      lines[k] = tree.bytes
    }
    self = lines.flatMap { $0 + [0x0A] }
  }
}

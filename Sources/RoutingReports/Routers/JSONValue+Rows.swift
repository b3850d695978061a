import FileFormats
import RoutingCore

// Lists of lists in which null stands for what is not finite.

/// A nested list of numbers.
indirect enum NestedList {
  case row([Double])
  case list([NestedList])

  var numbers: [Double] { if case .row(let row) = self { row } else { [] } }
  var rows: [[Double]] { if case .list(let items) = self { items.map(\.numbers) } else { [] } }
}

extension JSONValue {
  /// Lists of numbers.
  static func rows(_ rows: [[Double]]) -> JSONValue { .array(rows.map(row)) }

  /// A list of numbers.
  static func row(_ row: [Double]) -> JSONValue {
    row.allSatisfy(\.isFinite) && !row.isEmpty
      ? .numbers(row) : .array(row.map { $0.isFinite ? .number($0) : .null })
  }

  /// Lists of numbers; null is NaN.
  func rows(_ path: String) throws(InvalidInput) -> [[Double]] { try lists(2, path).map(\.numbers) }

  /// The items of a list of the given depth.
  func lists(_ depth: Int, _ path: String) throws(InvalidInput) -> [NestedList] {
    guard case .array(let values) = self else {
      throw InvalidInput(path, "expected a list of lists, got \(kind)")
    }
    var items: [NestedList] = []
    for (k, value) in values.enumerated() {
      let place = "\(path)[\(k)]"
      items.append(depth > 2 ? .list(try value.lists(depth - 1, place)) : .row(try value.row(place)))
    }
    return items
  }

  /// Lists of experts.
  func experts(_ path: String) throws(InvalidInput) -> [[Int]] {
    var choice: [[Int]] = []
    for (t, row) in try rows(path).enumerated() {
      choice.append(try row.wholeNumbers("\(path)[\(t)]", "an expert's index"))
    }
    return choice
  }

  /// A list of numbers; null is NaN.
  func row(_ path: String) throws(InvalidInput) -> [Double] {
    switch self {
    case .numbers(let numbers): return numbers
    case .array(let values):
      var row: [Double] = []
      for (k, value) in values.enumerated() {
        switch value {
        case .number(let number): row.append(number)
        case .null: row.append(.nan)
        default: throw InvalidInput("\(path)[\(k)]", "expected a number or null, got \(value.kind)")
        }
      }
      return row
    default: throw InvalidInput(path, "expected a list of numbers, got \(kind)")
    }
  }
}

extension [Double] {
  /// The numbers as whole ones.
  func wholeNumbers(_ path: String, _ expected: String) throws(InvalidInput) -> [Int] {
    var whole: [Int] = []
    for (k, number) in enumerated() {
      guard let integer = Int(exactly: number) else {
        throw InvalidInput("\(path)[\(k)]", "expected \(expected), got \(number)")
      }
      whole.append(integer)
    }
    return whole
  }
}

/// Reads a JSON object piece by piece: the items of one of its fields, a list, as they come, and its other fields.
///
/// Refuses what ``JSONParser`` refuses, with the same words, when it is reached. Memory is that of the largest item.
package struct JSONListReader {
  /// The fields other than the list, as far as they were read.
  package private(set) var fields: [JSONValue.Member] = []

  private let list: String
  private let read: () throws -> [UInt8]
  private var parser = JSONParser(bytes: [])
  private var isAtEnd = false
  private var state = State.beginning
  private var keys: Set<String> = []
  private var items = 0

  private enum State {
    case beginning
    case fields(isFirst: Bool)
    case items(isFirst: Bool)
    case end
  }

  /// Prepares to read.
  ///
  /// - Parameters:
  ///   - list: the name of the field that is a list.
  ///   - read: gives the next piece of the text, empty at its end.
  package init(_ list: String, read: @escaping () throws -> [UInt8]) {
    self.list = list
    self.read = read
  }

  /// The next item, or nil after the end of the object.
  ///
  /// - Throws: ``JSONError`` for the first thing that is wrong, and what `read` throws.
  package mutating func next() throws -> JSONValue? {
    while true {
      switch state {
      case .end: return nil
      case .beginning:
        try fillByte()
        try parsing { parser throws(JSONParser.Complaint) in try parser.beginning() }
        state = .fields(isFirst: true)
      case .fields(let isFirst):
        try fill()
        if try parsing({ parser throws(JSONParser.Complaint) in try parser.closes("}", isFirst: isFirst) }) {
          try fill()
          try parsing { parser throws(JSONParser.Complaint) in try parser.requireEnd() }
          state = .end
          return nil
        }
        try fill()
        let key = try parsing { [keys] parser throws(JSONParser.Complaint) in try parser.key(otherThan: keys) }
        keys.insert(key)
        try fillByte()
        if key == list, parser.startsList {
          try parsing { parser throws(JSONParser.Complaint) in parser.enterList() }
          state = .items(isFirst: true)
        } else {
          try fill()
          let value = try parsing { parser throws(JSONParser.Complaint) in try parser.field(key) }
          fields.append(.init(key: key, value: value))
          state = .fields(isFirst: false)
        }
      case .items(let isFirst):
        try fill()
        if try parsing({ [list] parser throws(JSONParser.Complaint) in
          try parser.closes("]", isFirst: isFirst, of: list)
        }) {
          if items == 0 { fields.append(.init(key: list, value: .array([]))) }
          state = .fields(isFirst: false)
          continue
        }
        try fill()
        let (index, list) = (items, list)
        let value = try parsing { parser throws(JSONParser.Complaint) in try parser.item(index, of: list) }
        items += 1
        state = .items(isFirst: false)
        return value
      }
    }
  }

  private mutating func parsing<Value>(
    _ body: (inout JSONParser) throws(JSONParser.Complaint) -> Value
  ) throws(JSONError) -> Value {
    do throws(JSONParser.Complaint) {
      return try body(&parser)
    } catch {
      throw parser.located(error)
    }
  }

  /// Reads on until something comes next that is no space.
  private mutating func fillByte() throws {
    while !isAtEnd, !parser.hasByte {
      let piece = try read()
      if piece.isEmpty { isAtEnd = true } else { parser.append(piece) }
    }
  }

  /// Reads on until what comes next is whole: a value, or a key with its colon.
  private mutating func fill() throws {
    parser.dropRead()
    var scan = JSONParser.Scan()
    while !isAtEnd, !parser.isWhole(&scan) {
      let piece = try read()
      if piece.isEmpty { isAtEnd = true } else { parser.append(piece) }
    }
  }
}

import FileFormats
import Foundation
import RouteGrad
import Testing

@testable import routegrad_bench

/// What the fuzzer makes: a function of seed and number alone, of every format, and mostly near to what is right.
struct FuzzCasesTests {
  /// Trained once for all tests.
  static let runs = Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "routegrad-fuzz-tests-\(getpid())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return try RunSamples(in: folder)
  }

  static func cases(seed: UInt64 = 7, _ formats: [FuzzFormat] = FuzzFormat.allCases) throws -> FuzzCases {
    FuzzCases(seed: seed, formats: formats, runs: try runs.get(), router: ["router"])
  }

  @Test("The choices at random are those of Philox, bit for bit")
  func dice() {
    var dice = Dice(seed: 1, stream: 2)
    var bits = Philox(seed: 1, stream: 2)
    for bound in [2, 7, 1000, 1 << 40] { #expect(dice.below(bound) == Int(bits.next() % UInt64(bound))) }
    #expect(dice.below(0) == 0)
    #expect((0..<200).allSatisfy { _ in [3, 4, 5].contains(dice.among(3...5)) })
    #expect(Set((0..<200).map { _ in dice.weighted([(1, "a"), (0, "b"), (3, "c")]) }) == ["a", "c"])
  }

  @Test("The same seed makes the same cases, in whatever order they are made", arguments: FuzzFormat.allCases)
  func sameSeed(format: FuzzFormat) throws {
    let numbers = Array(0..<25)
    let (one, other) = (try Self.cases([format]), try Self.cases([format]))
    let made = numbers.map { one[$0] }
    let again = numbers.reversed().map { other[$0] }
    #expect(made == again.reversed())
    #expect(made.allSatisfy { $0.format == format && !$0.arguments.isEmpty })
    let different = try Self.cases(seed: 8, [format])
    #expect(numbers.contains { different[$0] != made[$0] })
    // A file of rates has five fields, of which few things can be said: some cases are alike.
    #expect(Set(made.map { "\($0)" }).count > (format == .rates ? 14 : 20), "cases repeat")
  }

  @Test("Every format comes, as often as its weight says")
  func allFormats() throws {
    let cases = try Self.cases()
    var counts: [FuzzFormat: Int] = [:]
    for number in 0..<2000 { counts[cases[number].format, default: 0] += 1 }
    // The least, of weight 1 in 145, is missed with a probability of 1e-6.
    #expect(Set(counts.keys) == Set(FuzzFormat.allCases))
  }

  @Test("Arguments and names are what a process can be given")
  func arguments() throws {
    let cases = try Self.cases()
    for number in 0..<600 {
      let fuzzCase = cases[number]
      #expect(fuzzCase.arguments.allSatisfy { !$0.contains(0) && $0.count < 130_000 }, "case \(number)")
      #expect(fuzzCase.files.allSatisfy { !$0.name.isEmpty && !$0.name.contains(0) }, "case \(number)")
    }
  }

  @Test("Problems that are not damaged are read, whatever their numbers", arguments: [false, true])
  func validProblems(isTabulated: Bool) throws {
    for stream in 0..<400 {
      var dice = Dice(seed: 3, stream: UInt64(stream))
      let bytes = ProblemCases.problem(isTabulated: isTabulated, &dice).bytes
      #expect(throws: Never.self, "problem \(stream): \(String(decoding: bytes, as: UTF8.self))") {
        try ProblemFile.problems(of: bytes, file: "case")
      }
    }
  }

  @Test("A change that keeps the shape leaves JSON, another does not always")
  func mutation() throws {
    var dice = Dice(seed: 4, stream: 0)
    let tree: FuzzTree = [
      "a": FuzzTree([1.0, 2, 3]), "b": ["c": .raw("null"), "d": "text", "e": .list([])], "f": FuzzTree([[0.5], []]),
    ]
    // The root, and a, b and f with three below each.
    #expect(tree.count == 13)
    var broken = 0
    for _ in 0..<300 {
      var kept = tree
      kept.mutate(&dice, keepsShape: true)
      #expect(kept.count == tree.count)
      #expect(throws: Never.self) { try JSONParser.parse(kept.bytes) }
      var bent = tree
      bent.mutate(&dice)
      if (try? JSONParser.parse(bent.bytes)) == nil { broken += 1 }
    }
    #expect(broken > 10 && broken < 200)
    #expect(
      String(decoding: tree.bytes, as: UTF8.self).hasPrefix(#"{"a": [1, 2, 3], "b": {"c": null, "d": "text", "e": []}"#)
    )
  }

  @Test("Every place of a tree is changed sooner or later")
  func places() {
    var dice = Dice(seed: 5, stream: 0)
    let tree = FuzzTree([[1.0, 2], [3, 4]])
    var changed: Set<Int> = []
    for _ in 0..<300 {
      var other = tree
      other.mutate(&dice, keepsShape: true)
      guard case .list(let rows) = other else { continue }
      for (i, row) in rows.enumerated() {
        guard case .list(let items) = row else { continue }
        for (j, item) in items.enumerated() {
          if case .raw(let text) = item, text != "\(2 * i + j + 1)" { changed.insert(2 * i + j) }
        }
      }
    }
    #expect(changed == [0, 1, 2, 3])
  }

  @Test("Damaged bytes are other bytes most of the time, and an empty file becomes one")
  func bytes() {
    var dice = Dice(seed: 6, stream: 0)
    let original = Array("0123456789".utf8)
    let changed = (0..<200).count { _ in
      var bytes = original
      ByteMutation.apply(to: &bytes, &dice)
      return bytes != original
    }
    #expect(changed > 150)
    var empty: [UInt8] = []
    ByteMutation.apply(to: &empty, &dice)
    #expect(empty.count == 1)
  }

  @Test("A safetensors file taken apart is the same file")
  func safeTensors() throws {
    let checkpoint = try #require(
      try Self.runs.get().mixture.first { $0.name.suffix(12).elementsEqual(".safetensors".utf8) })
    let parts = try #require(SafeTensorsBytes(checkpoint.bytes))
    let again = try SafeTensors(parts.bytes())
    let original = try SafeTensors(checkpoint.bytes)
    #expect(again.metadata == original.metadata)
    #expect(Set(again.tensors.keys) == Set(original.tensors.keys))
    #expect(parts.data.count < checkpoint.bytes.count)
  }
}

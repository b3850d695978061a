import FileFormats
import Foundation
import RoutingCore
import Testing
import _TestSupport

@testable import RouterTraining

/// Damage to the files of a run: it is refused with one line that names file and field, or changes nothing.
struct DamagedRunTests {
  private static let newest = "checkpoint-00000033.safetensors"
  private static let end = "checkpoint-00000040.safetensors"

  /// The files of a run that was interrupted after step 33, by name.
  private static func files() throws -> [String: [UInt8]] {
    try SmallRun.inFolder { folder in
      let trainer = try Trainer(RunFolder(creating: folder, SmallRun.manifest()))
      #expect(try trainer.run(threads: 1, isInterrupted: { trainer.step == 33 }) == .interrupted)
      var files: [String: [UInt8]] = [:]
      for name in ["manifest.json", "metrics.jsonl", newest] { files[name] = try SmallRun.bytes("\(folder)/\(name)") }
      return files
    }
  }

  /// Goes on with a run of which one file is another; nil if all is well, or what was said.
  private static func resume(
    _ files: [String: [UInt8]], _ name: String, _ bytes: [UInt8],
    then body: (String, Trainer) throws -> Void = { _, _ in }
  ) throws -> Refusal? {
    try SmallRun.inFolder { folder in
      try RunFiles.makeFolder(folder)
      for (name, bytes) in files { try SmallRun.write(bytes, "\(folder)/\(name)") }
      try SmallRun.write(bytes, "\(folder)/\(name)")
      do {
        try body(folder, Trainer(RunFolder(opening: folder)))
        return nil
      } catch let error as Refusal {
        let text = error.description
        #expect(text.hasPrefix("\(folder)/") && text.count < 600, "\(text)")
        #expect(text.allSatisfy { !$0.isNewline }, "\(text)")
        for word in ["Error(", "Optional(", "InvalidInput(", "expectation:", "Swift."] {
          #expect(!text.contains(word), "\(text)")
        }
        #expect(error.code == .wrongData, "\(text)")
        // Refused, and nothing is lost.
        #expect(try SmallRun.bytes("\(folder)/\(name)") == bytes)
        #expect(try RunFiles.names(in: folder)?.count == files.count)
        return Refusal(error.code, String(text.dropFirst(folder.count + 1)))
      }
    }
  }

  // MARK: - Field by field

  /// A checkpoint with another header, and a checksum that is right.
  private static func edited(_ checkpoint: [UInt8], _ from: String, _ to: String) throws -> [UInt8] {
    let length = checkpoint[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    var header = String(decoding: checkpoint[8..<8 + length], as: UTF8.self)
    let place = try #require(header.range(of: from, options: .regularExpression), "\(from) in \(header.prefix(400))")
    header.replaceSubrange(place, with: to)
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) } + Array(header.utf8)
    return signed(bytes + checkpoint[(8 + length)...])
  }

  /// The same file with the checksum that it should have.
  private static func signed(_ checkpoint: [UInt8]) -> [UInt8] {
    var bytes = checkpoint
    let key = Array("\"crc32\":\"".utf8)
    guard
      let start = (0..<max(min(bytes.count - key.count - 8, 256), 0)).first(where: { bytes[$0...].starts(with: key) })
    else { return bytes }
    let place = start + key.count..<start + key.count + 8
    bytes.replaceSubrange(place, with: Array("00000000".utf8))
    let digits = String(crc32(of: bytes), radix: 16)
    bytes.replaceSubrange(place, with: Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8))
    return bytes
  }

  @Test func everyFieldOfACheckpointIsHeldToItsRange() throws {
    let files = try Self.files()
    let checkpoint = try #require(files[Self.newest])
    #expect(Self.signed(checkpoint) == checkpoint)
    #expect(try Self.resume(files, Self.newest, checkpoint) == nil)
    for (from, to, complaint) in [
      (#""step":"33""#, #""step":"-1""#, "step: expected a whole number from 0 to 40, got '-1'"),
      (#""step":"33""#, #""step":"41""#, "step: expected a whole number from 0 to 40, got '41'"),
      (
        #""step":"33""#, #""step":"9223372036854775807""#,
        "step: expected a whole number from 0 to 40, got '9223372036854775807'"
      ),
      (#""step":"33""#, #""step":"9223372036854775808""#, "step: expected a whole number from 0 to 40, got '92"),
      (#""step":"33""#, #""step":"32""#, "step: expected the step of the file's name, got 32"),
      (#""step":"33""#, #""stop":"33""#, "step: expected a whole number from 0 to 40, got nothing"),
      (
        #"metricsBytes":"\d+""#, #"metricsBytes":"-1""#, "metricsBytes: expected a whole number of at least 0, got '-1'"
      ),
      (
        #"metricsBytes":"\d+""#, #"metricsBytes":"0""#,
        "metricsBytes: expected the end of a line of metrics.jsonl, got 0"
      ),
      (
        #"metricsBytes":"\d+""#, #"metricsBytes":"5""#,
        "metricsBytes: expected the end of a line of metrics.jsonl, got 5"
      ),
      (#"lossSum":"[^"]*""#, #"lossSum":"nan""#, "lossSum: expected a finite number, got 'nan'"),
      (#"auxiliarySum":"[^"]*""#, #"auxiliarySum":"-inf""#, "auxiliarySum: expected a finite number, got '-inf'"),
      (#""lossCount":"3""#, #""lossCount":"-1""#, "lossCount: expected a whole number from 0 to 33, got '-1'"),
      (#""lossCount":"3""#, #""lossCount":"34""#, "lossCount: expected a whole number from 0 to 33, got '34'"),
      (#""lossCount":"3""#, #""lossCount":"2""#, "lossCount: expected 3, the steps since the last line"),
      ("checkpoint/1", "checkpoint/2", "schema: expected 'routegrad.checkpoint/1', got 'routegrad.checkpoint/2'"),
      (#""dtype":"F32""#, #""dtype":"I32""#, ": expected a tensor F32 ["),
      (#""adam.first/"#, #""adam.frist/"#, "expected a tensor F32"),
    ] {
      let error = try Self.resume(files, Self.newest, Self.edited(checkpoint, from, to))
      #expect(error?.description.hasPrefix("\(Self.newest): ") ?? false, "\(to): \(error?.description ?? "accepted")")
      #expect(error?.description.contains(complaint) ?? false, "\(to): \(error?.description ?? "accepted")")
    }
    let far = try Self.resume(
      files, Self.newest, Self.edited(checkpoint, #"metricsBytes":"\d+""#, #"metricsBytes":"9223372036854775807""#))
    #expect(far?.description.contains("expected at least 9223372036854775807 bytes") ?? false)
    var notFinite = checkpoint
    notFinite.replaceSubrange(checkpoint.count - 4..<checkpoint.count, with: [0, 0, 0x80, 0x7F])
    let error = try Self.resume(files, Self.newest, Self.signed(notFinite))
    #expect(error?.description.contains("]: expected a finite number") ?? false, "\(error?.description ?? "accepted")")
  }

  @Test func everyFieldOfAManifestIsHeldToItsRange() throws {
    let files = try Self.files()
    let manifest = String(decoding: try #require(files["manifest.json"]), as: UTF8.self)
    for (from, to, complaint) in [
      (#""steps": 40"#, #""steps": 0"#, "plan.steps: expected a whole number from 1 to 1073741824, got 0"),
      (#""steps": 40"#, #""steps": 1e18"#, "plan.steps: expected a whole number"),
      (#""steps": 40"#, #""steps": 32"#, "step: expected a whole number from 0 to 32, got '33'"),
      (#""warmUp": 20"#, #""warmUp": -1"#, "plan.warmUp: expected a whole number from 0"),
      (#""learningRate": 0.02"#, #""learningRate": -0.02"#, "plan.learningRate: expected a finite number above 0"),
      (#""schedule": "constant""#, #""schedule": "x""#, "plan.schedule: expected"),
      (#""clip": null"#, #""clip": 0"#, "plan.clip: expected a finite number above 0, got 0"),
      (#""beta2": 0.98"#, #""beta2": 1"#, "plan.beta2: expected a number from 0 to below 1, got 1.0"),
      (#""batch": 32"#, #""batch": 65537"#, "settings.batch: expected a whole number from 1 to 65536, got 65537"),
      (#""experts": 8"#, #""experts": 9"#, ": expected a tensor F32"),
      (#""hidden": 8"#, #""hidden": 1e300"#, "settings.hidden: expected a whole number, got 1e+300"),
      (#""seed": "3""#, #""seed": "-3""#, #"seed: expected a whole number from 0 to 2⁶⁴ − 1, as text, got "-3""#),
      (#""seed": "3""#, #""seed": 3"#, "seed: expected a string, got a number"),
      (#""plan": {"#, #""plan": {"more": 1,"#, "plan.more: expected no such field"),
      (#""seed": "3","#, #""seed": "3""#, "manifest.json: expected ',' or '}', got '\"' (line 18, column 2)"),
    ] {
      let text = manifest.replacingOccurrences(of: from, with: to)
      try #require(text != manifest, "\(from) in \(manifest)")
      let error = try Self.resume(files, "manifest.json", Array(text.utf8))
      #expect(error?.description.contains(complaint) ?? false, "\(to): \(error?.description ?? "accepted")")
    }
  }

  @Test func everyFieldOfALineOfMetricsIsHeldToItsRange() throws {
    let plan = try SmallRun.manifest().plan
    let first = #"{"step": 0, "heldOut": {"loss": 1}}"# + "\n"
    func complaint(_ lines: String) -> String {
      do {
        _ = try RunMetrics(Array(lines.utf8), plan)
        return "accepted"
      } catch {
        return error.description
      }
    }
    #expect(complaint(first + #"{"step": 40, "heldOut": {"loss": null}, "stopped": "diverged"}"# + "\n") == "accepted")
    #expect(complaint(first + #"{"step": 0, "heldOut": {}, "stopped": "diverged"}"# + "\n") == "accepted")
    #expect(
      complaint(#"{"step": 5, "heldOut": {}}"# + "\n") == "line 1: step: expected 0, the step of the first line, got 5")
    for (line, expected) in [
      (#"{"step": 0, "heldOut": {}}"#, "step: expected a step from 1 to 40, got 0"),
      (#"{"step": 41, "heldOut": {}}"#, "step: expected a step from 1 to 40, got 41"),
      (#"{"step": -5, "heldOut": {}}"#, "step: expected a step from 1 to 40, got -5"),
      (#"{"step": 5.5, "heldOut": {}}"#, "step: expected a whole number, got 5.5"),
      (#"{"step": 5}"#, "heldOut: expected held-out figures (an object), the field is missing"),
      (#"{"step": 5, "heldOut": {"loss": -1}}"#, "heldOut.loss: expected a finite number of at least 0, got -1.0"),
      (#"{"step": 5, "heldOut": {"bleu": "x"}}"#, "heldOut.bleu: expected a number, got a string"),
      (#"{"step": 5, "heldOut": {"loss": 1e999}}"#, "heldOut.loss: expected a finite number, got 1e999 (column 33)"),
      (#"{"step": 5, "heldOut": {}, "trainingLoss": null}"#, "trainingLoss: expected a number, got null"),
      (#"{"step": 5, "heldOut": {}, "learningRate": -1}"#, "learningRate: expected a finite number of at least 0"),
      (#"{"step": 5, "heldOut": {}, "gradientNorm": []}"#, "gradientNorm: expected a number, got a list"),
      (
        #"{"step": 5, "heldOut": {}, "routers": [{"entropy": 1, "load": [1, -1], "dropped": 0}]}"#,
        "routers[0].load[1]: "
      ),
      (#"{"step": 5, "heldOut": {}, "routers": [{"entropy": 1, "load": [1], "dropped": -1}]}"#, "routers[0].dropped: "),
      (#"{"step": 5, "heldOut": {}, "audit": {"targetNorm": 1}}"#, "audit.relativeBias: "),
      (#"{"step": 5, "heldOut": {}, "stopped": "x"}"#, "stopped: expected "),
      (#"{"step": 5, "heldOut": {}, "more": 1}"#, "more: expected no such field"),
      (#"{"step": 5, "step": 5, "heldOut": {}}"#, "step: expected each field once, got it twice (column 13)"),
      (#"{"step": 5, "heldOut": {}"#, "expected ',' or '}', got the end of the text"),
      ("", "expected a JSON object, got an empty text"),
    ] {
      let found = complaint(first + line + "\n")
      #expect(found.hasPrefix("line 2: \(expected)"), "\(line): \(found)")
    }
    #expect(
      complaint(
        first + #"{"step": 5, "heldOut": {}, "stopped": "patience"}"# + "\n" + #"{"step": 10, "heldOut": {}}"# + "\n")
        == "line 3: expected no line after the one that says why the run stopped")
  }

  // MARK: - At random

  @Test(.seeded, arguments: ["manifest.json", "metrics.jsonl", newest])
  func randomDamageIsRefusedOrChangesNothing(name: String) throws {
    let files = try Self.files()
    let whole = try #require(files[name])
    var expected: [String: [UInt8]] = [:]
    let undamaged = try Self.resume(files, name, whole) { folder, trainer in
      #expect(try trainer.run(threads: 1) == .finished)
      for name in [Self.end, "metrics.jsonl"] { expected[name] = try SmallRun.bytes("\(folder)/\(name)") }
    }
    #expect(undamaged == nil)
    var random = TestSeed.generator("damaged \(name)")
    var refused = 0
    for k in 0..<300 {
      var damaged = Damage.apply(to: whole, using: &random)
      // With the right checksum every second time, or nothing behind it would ever be looked at.
      if name == Self.newest, k.isMultiple(of: 2) { damaged = Self.signed(damaged) }
      let error = try Self.resume(files, name, damaged) { folder, trainer in
        switch name {
        case "manifest.json":
          // Another seed or learning rate is another run, which nobody can tell.
          guard let value = try? JSONParser.parse(damaged), try JSONParser.parse(whole) == value else { return }
        case Self.newest:
          guard damaged == whole else {
            // Other weights with their own checksum are another run, too; it ends.
            _ = try trainer.run(threads: 1)
            return
          }
        default: break
        }
        #expect(try trainer.run(threads: 1) == .finished)
        #expect(try SmallRun.bytes("\(folder)/\(Self.end)") == expected[Self.end])
        let metrics = try SmallRun.bytes("\(folder)/metrics.jsonl")
        let count = files["metrics.jsonl"]?.count ?? 0
        #expect(metrics.dropFirst(count) == expected["metrics.jsonl"]?.dropFirst(count))
      }
      if let error {
        refused += 1
        #expect(error.description.hasPrefix("\(name): ") || error.description.hasPrefix("\(Self.newest): "), "\(error)")
      }
    }
    #expect(refused > 100, "\(refused) of 300 were refused")
  }
}

/// Damage to files, as discs, editors and malice do it.
enum Damage {
  private static let words = [
    "-1", "0", "1e999", "-0.0", "9223372036854775807", "18446744073709551616", "NaN", "null", "true", "\"\"", "[]",
    "{}",
    "1e-400", "\\u0000", "\u{1B}[2J", "é", "\n", "{\"step\": 5}",
  ].map { Array($0.utf8) }

  static func apply(to whole: [UInt8], using random: inout Philox) -> [UInt8] {
    var bytes = whole
    func place(_ count: Int) -> Int { Int(random.next(upperBound: UInt64(max(count, 1)))) }
    for _ in 0...place(2) {
      // Half of the time within the first bytes, where headers are.
      let range = place(2) == 0 ? min(bytes.count, 1024) : bytes.count
      guard range > 0 else { break }
      let k = place(range)
      switch place(7) {
      case 0: bytes[k] ^= UInt8(1 << place(8))
      case 1: bytes[k] = UInt8(place(256))
      case 2: bytes.removeSubrange(k..<min(k + 1 + place(20), bytes.count))
      case 3: bytes.insert(contentsOf: words[place(words.count)], at: k)
      case 4: bytes.removeSubrange(k...)
      case 5: bytes.insert(contentsOf: bytes[k..<min(k + place(200), bytes.count)], at: k)
      default:
        // A number becomes another.
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard let start = bytes[k...].firstIndex(where: digits.contains) else { continue }
        let end = bytes[start...].firstIndex { !digits.contains($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: words[place(words.count)])
      }
    }
    return bytes
  }
}

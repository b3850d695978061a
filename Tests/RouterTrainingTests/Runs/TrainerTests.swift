import Foundation
import RoutingCore
import Testing

@testable import RouterTraining

struct TrainerTests {
  private static let last = "checkpoint-00000040.safetensors"

  /// An undisturbed run's last checkpoint and metrics.
  private static func undisturbed(_ router: String, threads: Int = 1) throws -> (checkpoint: [UInt8], metrics: [UInt8])
  {
    try SmallRun.inFolder { folder in
      let trainer = try Trainer(RunFolder(creating: folder, SmallRun.manifest(router)))
      #expect(try trainer.run(threads: threads) == .finished)
      return (try SmallRun.bytes("\(folder)/\(last)"), try SmallRun.bytes("\(folder)/metrics.jsonl"))
    }
  }

  /// Interrupted after any step, and left without saving after any step, a run comes to the same bytes; so do the routers that
  /// keep something from step to step.
  @Test(arguments: ["switch", "surrogate-experts", "default-moe"])
  func resumesToTheSameBytes(router: String) throws {
    let expected = try Self.undisturbed(router)
    #expect(try Self.undisturbed(router, threads: 2) == expected)
    for stops in [[1, 2, 3], [7, 23], [10, 20], [39]] {
      try SmallRun.inFolder { folder in
        _ = try RunFolder(creating: folder, SmallRun.manifest(router))
        for stop in stops { try Self.interrupt(folder, after: stop) }
        #expect(try Self.reopened(folder).run(threads: 2) == .finished)
        #expect(try SmallRun.bytes("\(folder)/\(Self.last)") == expected.checkpoint)
        #expect(try SmallRun.bytes("\(folder)/metrics.jsonl") == expected.metrics)
      }
    }
  }

  /// As after a kill: metrics beyond the checkpoint, half a line, half a temporary file.
  @Test func whatIsBeyondTheCheckpointIsCutOff() throws {
    let expected = try Self.undisturbed("switch")
    try SmallRun.inFolder { folder in
      _ = try RunFolder(creating: folder, SmallRun.manifest())
      try Self.interrupt(folder, after: 12)
      let metrics = try SmallRun.bytes("\(folder)/metrics.jsonl")
      try SmallRun.write(metrics + metrics.suffix(90) + Array("{\"step\": 1".utf8), "\(folder)/metrics.jsonl")
      try SmallRun.write([1, 2, 3], "\(folder)/checkpoint-00000020.safetensors.tmp")
      #expect(try Self.reopened(folder).run(threads: 1) == .finished)
      #expect(try SmallRun.bytes("\(folder)/\(Self.last)") == expected.checkpoint)
      #expect(try SmallRun.bytes("\(folder)/metrics.jsonl") == expected.metrics)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
          == ["checkpoint-00000030.safetensors", Self.last, "manifest.json", "metrics.jsonl"])
    }
  }

  /// Goes on with a run until so many steps are done; its lock goes with the trainer.
  private static func interrupt(_ folder: String, after stop: Int) throws {
    let trainer = try reopened(folder)
    #expect(try trainer.run(threads: 1, isInterrupted: { trainer.step >= stop }) == .interrupted)
    #expect(trainer.step == stop)
  }

  /// A trainer whose predecessor's lock is gone.
  private static func reopened(_ folder: String, previous: Bool = false) throws -> Trainer {
    try Trainer(RunFolder(opening: folder), previous: previous)
  }

  @Test func aDamagedCheckpointIsNamedAndThePreviousOneOffered() throws {
    let expected = try Self.undisturbed("switch")
    try SmallRun.inFolder { folder in
      var trainer: Trainer? = try Trainer(RunFolder(creating: folder, SmallRun.manifest()))
      #expect(try trainer?.run(threads: 1) == .finished)
      trainer = nil
      let path = "\(folder)/\(Self.last)"
      let whole = try SmallRun.bytes(path)
      var flipped = whole
      flipped[whole.count / 2] ^= 4
      for damaged in [flipped, Array(whole.dropLast()), Array(whole.prefix(100)), []] {
        try SmallRun.write(damaged, path)
        let error = #expect(throws: Refusal.self) { try Self.reopened(folder) }
        #expect(error?.code == .wrongData)
        for part in [Self.last, "damaged", "checkpoint-00000030.safetensors", "--previous"] {
          #expect(error?.description.contains(part) ?? false, "\(part) in \(error?.description ?? "")")
        }
      }
      #expect(try Self.reopened(folder, previous: true).run(threads: 1) == .finished)
      #expect(try SmallRun.bytes(path) == expected.checkpoint)
      #expect(try SmallRun.bytes("\(folder)/metrics.jsonl") == expected.metrics)
    }
  }

  /// Every bit of a checkpoint counts, and so does its length.
  @Test func everyFlippedBitIsFound() throws {
    try SmallRun.inFolder { folder in
      let trainer = try Trainer(RunFolder(creating: folder, SmallRun.manifest(steps: 1)))
      #expect(try trainer.run(threads: 1) == .finished)
      var bytes = try SmallRun.bytes("\(folder)/checkpoint-00000001.safetensors")
      let tensors = trainer.model.parameters.map { ($0.name, $0.value) }
      for place in stride(from: 0, to: bytes.count, by: 499) + Array(0..<64) {
        bytes[place] ^= UInt8(1 << (place % 8))
        #expect(throws: (any Error).self, "byte \(place)") {
          try Checkpoint(bytes, into: tensors, trainer.folder.manifest.plan)
        }
        bytes[place] ^= UInt8(1 << (place % 8))
      }
    }
  }

  /// The disk is full: what was saved before is whole, and the run goes on from it when there is room again.
  @Test func aFullDiskLosesNothing() throws {
    let expected = try Self.undisturbed("switch")
    try SmallRun.inFolder { folder in
      var trainer: Trainer? = try Trainer(RunFolder(creating: folder, SmallRun.manifest()))
      // Writing the temporary file of the checkpoint at step 30 finds no space.
      let temporary = "\(folder)/checkpoint-00000030.safetensors.tmp"
      try FileManager.default.createSymbolicLink(atPath: temporary, withDestinationPath: "/dev/full")
      let error = #expect(throws: Refusal.self) { try trainer?.run(threads: 1) }
      #expect(error?.code == .noOutput)
      #expect(
        error?.description == "\(folder)/checkpoint-00000030.safetensors: cannot be written: No space left on device")
      trainer = nil
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
          == ["checkpoint-00000010.safetensors", "checkpoint-00000020.safetensors", "manifest.json", "metrics.jsonl"])
      #expect(try Self.reopened(folder).run(threads: 1) == .finished)
      #expect(try SmallRun.bytes("\(folder)/\(Self.last)") == expected.checkpoint)
    }
  }

  @Test func oneFolderHasOneRunAndOneProgram() throws {
    try SmallRun.inFolder { folder in
      let manifest = try SmallRun.manifest()
      let first = try RunFolder(creating: folder, manifest)
      let again = #expect(throws: Refusal.self) { try RunFolder(creating: folder, manifest) }
      #expect(again?.code == .noOutput && again?.description.contains("train resume \(folder)") ?? false)
      let locked = #expect(throws: Refusal.self) { try RunFolder(opening: folder) }
      #expect(locked?.description.contains("another program") ?? false)
      withExtendedLifetime(first) {}
    }
  }

  @Test func patienceEndsARun() throws {
    try SmallRun.inFolder { folder in
      let manifest = try SmallRun.manifest(steps: 400) { plan in
        plan.learningRate = 1e-30
        plan.patience = 3
      }
      #expect(try Trainer(RunFolder(creating: folder, manifest)).run(threads: 1) == .finished)
      let metrics = try RunFolder.metrics(of: folder, manifest.plan)
      #expect(metrics.lines.map(\.step) == [0, 5, 10, 15] && metrics.lines.last?.stopped == .patience)
      #expect(metrics.isComplete(manifest.plan))
    }
  }

  @Test func aDivergedRunSaysSo() throws {
    try SmallRun.inFolder { folder in
      let manifest = try SmallRun.manifest { $0.learningRate = 1e30 }
      #expect(try Trainer(RunFolder(creating: folder, manifest)).run(threads: 1) == .diverged)
      #expect(try RunFolder.metrics(of: folder, manifest.plan).lines.last?.stopped == .diverged)
    }
  }

  @Test func manifestsReadBack() throws {
    try SmallRun.inFolder { folder in
      let manifest = try SmallRun.manifest("sparsemixer:threshold=0.3,scale=false", seed: .max)
      _ = try RunFolder(creating: folder, manifest)
      let read = try RunFolder.manifest(of: folder)
      #expect(read.json == manifest.json && read.seed == .max)
      let text = String(decoding: try SmallRun.bytes("\(folder)/manifest.json"), as: UTF8.self)
      for (from, to, part) in [
        ("\"batch\": 32", "\"batch\": 0", "settings.batch"), ("mixture-regression", "mixture", "model"),
        ("sparsemixer:", "sparsemixr:", "router"), ("routegrad.run/1", "routegrad.run/2", "schema"),
        ("\"steps\": 40", "\"steps\": -1", "plan.steps"),
      ] {
        try SmallRun.write(Array(text.replacingOccurrences(of: from, with: to).utf8), "\(folder)/manifest.json")
        let error = #expect(throws: Refusal.self) { try RunFolder.manifest(of: folder) }
        #expect(error?.code == .wrongData && error?.description.contains(part) ?? false, "\(part)")
      }
    }
  }
}

import ArgumentParser
import Foundation
import RouteGrad

/// How fast the sequential test is, and whether its memory grows with the number of samples.
///
/// Samples of N coordinates, uniform on [−1, 1], are made once (65 536 rows) and run through the test again and again: what
/// is measured is the test.
struct VerifyStreamCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify-stream", abstract: "The sequential test's speed and memory from 10³ to 10⁸ samples.")

  @Option(name: .customLong("N"), help: "The number of coordinates.") var coordinates = 8
  @Option(help: "The numbers of samples.")
  var samples: [Int] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]
  @Option(help: "The rows of a batch.") var batch = 1024

  func validate() throws {
    guard coordinates >= 1, batch >= 1, samples.allSatisfy({ $0 >= 1 }) else {
      throw ValidationError("--N, --samples and --batch: expected whole numbers of at least 1")
    }
  }

  func run() throws {
    var generator = Philox(seed: 41)
    let rows = (0..<(1 << 16) * coordinates).map { _ in 2 * generator.nextOpenUnit() - 1 }
    print("| N | samples | seconds | M coordinates/s | resident memory, MiB | passed |")
    print("|--:|--:|--:|--:|--:|--:|")
    for count in samples {
      // Nothing is ever found here: what counts is the work.
      var test = SequentialMeanTest(
        mean: [Double](repeating: 0, count: coordinates),
        bounds: SampleBounds(-1...1, coordinates: coordinates), tolerance: 1e-5, detectableBias: 0.01,
        rates: ErrorRates(falseFail: 1e-12))
      let start = Clock.ownBusy
      rows.withUnsafeBufferPointer { rows in
        var left = count
        var place = 0
        while left > 0 {
          let length = min(batch, left, (1 << 16) - place)
          let slice = rows[place * coordinates..<(place + length) * coordinates]
          try? test.add(UnsafeBufferPointer(rebasing: slice))
          left -= length
          place = (place + length) & 0xFFFF
        }
      }
      test.look()
      let seconds = Clock.ownBusy - start
      let rate = Double(count * coordinates) / max(seconds, 1e-9) * 1e-6
      print(
        "| \(coordinates) | \(count) | \((seconds * 1e4).rounded() / 1e4) | \(rate.rounded()) | \(Self.residentMiB) | "
          + "\(test.coordinatesPassed) |")
    }
  }

  /// Resident memory now, from /proc/self/statm; 0 where there is none.
  static var residentMiB: Double {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
    else { return 0 }
    return (pages * Double(sysconf(Int32(_SC_PAGESIZE))) / 1_048_576 * 10).rounded() / 10
  }
}

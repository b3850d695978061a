import Foundation
import RouteGrad

/// One line of results, in the peers' shape.
struct Measurement<Parameters: Encodable, Checksum: Encodable>: Encodable {
  let workload: String
  let framework = "RouteGrad"
  let variant: String
  let threads: Int
  let mklShim = false
  let mallocTuned = false
  let params: Parameters
  let unit: String
  let secondsPerUnit: Double
  let unitsPerSecond: Double
  let secondsMedian: Double
  let secondsMin: Double
  let secondsMax: Double
  let unitsPerSecondBest: Double
  let timing: Timing
  let checksum: Checksum

  init(
    workload: String, variant: String, threads: Int, params: Parameters, units: Int, unit: String, timing: Timing,
    checksum: Checksum
  ) {
    self.workload = workload
    self.variant = variant
    self.threads = threads
    self.params = params
    self.unit = unit
    secondsPerUnit = timing.median / Double(units)
    unitsPerSecond = Double(units) / timing.median
    secondsMedian = timing.median
    secondsMin = timing.seconds[0]
    secondsMax = timing.seconds[timing.seconds.count - 1]
    unitsPerSecondBest = Double(units) / timing.seconds[0]
    self.timing = timing
    self.checksum = checksum
  }

  enum CodingKeys: String, CodingKey {
    case workload, framework, variant, threads, params, unit, timing, checksum
    case mklShim = "mkl_shim"
    case mallocTuned = "malloc_tuned"
    case secondsPerUnit = "seconds_per_unit"
    case unitsPerSecond = "units_per_second"
    case secondsMedian = "seconds_median"
    case secondsMin = "seconds_min"
    case secondsMax = "seconds_max"
    case unitsPerSecondBest = "units_per_second_best"
  }

  func line() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

/// Runs a workload as the options ask: once, or in turn with another program's.
func run<P, C>(_ options: BenchOptions, _ measure: () throws -> Measurement<P, C>) throws {
  guard let command = options.against else { return print(try measure().line()) }
  var ratios: [Double] = []
  for pair in 1...options.pairs {
    let peer = try Peer.unitsPerSecond(command)
    let own = try measure()
    print(try own.line())
    let ratio = own.unitsPerSecond / peer
    ratios.append(ratio)
    print("pair \(pair): RouteGrad \(own.unitsPerSecond), peer \(peer) \(own.unit)s per second, ratio \(ratio)")
  }
  print("median ratio over \(ratios.count) pairs: \(ratios.sorted()[ratios.count / 2])")
}

/// Another program that does the same work.
enum Peer {
  struct Failure: Error, CustomStringConvertible { let description: String }

  private struct Line: Decodable {
    let unitsPerSecond: Double
    enum CodingKeys: String, CodingKey { case unitsPerSecond = "units_per_second" }
  }

  /// Runs a shell command and reads `units_per_second` off the last line that it prints.
  static func unitsPerSecond(_ command: String) throws -> Double {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", command]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(description: "the peer's command ended with status \(process.terminationStatus): \(command)")
    }
    let last = output.split(separator: UInt8(ascii: "\n")).last ?? Data()
    guard let line = try? JSONDecoder().decode(Line.self, from: last) else {
      throw Failure(description: "the peer's last line is no JSON with units_per_second: \(command)")
    }
    return line.unitsPerSecond
  }
}

/// The uniform numbers that every workload's inputs are made from: element i of stream `seed` is the top 53 bits of
/// splitmix64 at state `seed + (i + 1) · 0x9E3779B97F4A7C15`, times 2⁻⁵³.
func uniform(_ seed: UInt64, count: Int) -> [Double] {
  (1...UInt64(count)).map { i in
    var z = seed &+ i &* 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    z ^= z >> 31
    return Double(z >> 11) * 0x1p-53
  }
}

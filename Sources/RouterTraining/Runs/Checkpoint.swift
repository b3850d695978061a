import FileFormats
import LayerTensors
import MixtureOfExperts
import RoutingCore

/// A run's state after a step, as a `.safetensors` file: parameters under their names, Adam's moments and the model's state
/// beside them, and in the metadata the step, what the metrics held by then, and a CRC-32 of the whole file.
struct Checkpoint {
  static let schema = "routegrad.checkpoint/1"

  /// The number of steps done.
  var step: Int
  /// The length of `metrics.jsonl`.
  var metricsBytes: Int
  /// The training losses since the last evaluation.
  var tally: LossTally
  /// The norm of the last step's gradients, where gradients are clipped and the evaluation after that step was interrupted.
  var gradientNorm: Double?
  /// Names and bit patterns, in order.
  var tensors: [(name: String, tensor: Tensor<Float>)]

  /// The tensors of a run, in the order of the file.
  static func tensors(of model: any TrainableModel, _ optimiser: AdamOptimiser) -> [(
    name: String, tensor: Tensor<Float>
  )] {
    let parameters = model.parameters
    return parameters.map { ($0.name, $0.value) }
      + zip(parameters, optimiser.moments).map { ("adam.first/\($0.name)", $1.first) }
      + zip(parameters, optimiser.moments).map { ("adam.second/\($0.name)", $1.second) }
      + model.state.map { ("state/\($0.name)", $0.tensor) }
  }
}

// MARK: - Bytes

extension Checkpoint {
  private static let blank = "00000000"

  /// The file.
  var bytes: [UInt8] {
    var metadata = [
      ("schema", Self.schema), ("crc32", Self.blank), ("step", "\(step)"), ("metricsBytes", "\(metricsBytes)"),
      ("lossSum", "\(tally.loss)"), ("auxiliarySum", "\(tally.auxiliary)"), ("lossCount", "\(tally.count)"),
    ]
    if let gradientNorm { metadata.append(("gradientNorm", "\(gradientNorm)")) }
    let layout = SafeTensorsLayout(
      tensors: tensors.map { ($0.name, [$0.tensor.rows, $0.tensor.columns]) }, type: .f32, metadata: metadata)
    var bytes = layout.header
    bytes.reserveCapacity(layout.fileSize)
    for (_, tensor) in tensors {
      bytes += SafeTensorsLayout.bytes(UnsafeBufferPointer(start: tensor.elements, count: tensor.count))
    }
    if let place = Self.checksumPlace(bytes) { bytes.replaceSubrange(place, with: Self.checksum(bytes).utf8) }
    return bytes
  }

  /// Reads a file into tensors that exist.
  ///
  /// - Parameter plan: the plan of the run.
  /// - Throws: `InvalidInput` if the file is damaged or not of this run; the tensors are then as they were.
  init(
    _ bytes: [UInt8], into tensors: [(name: String, tensor: Tensor<Float>)], _ plan: TrainingPlan
  ) throws(InvalidInput) {
    // Before anything else: a flipped bit may turn up as anything.
    guard let place = Self.checksumPlace(bytes) else {
      throw InvalidInput("", "damaged: expected a checksum, there is none")
    }
    var blank = bytes
    blank.replaceSubrange(place, with: Self.blank.utf8)
    guard Self.checksum(blank).utf8.elementsEqual(bytes[place]) else {
      throw InvalidInput(
        "",
        "damaged: its checksum is \(Self.checksum(blank)), expected \(String(decoding: bytes[place], as: UTF8.self))")
    }
    let file = try SafeTensors(bytes)
    func number<T: LosslessStringConvertible & Comparable>(
      _ name: String, _ limit: Limit<T>
    ) throws(InvalidInput) -> T {
      let text = file.metadata[name]
      guard let number = text.flatMap({ T($0) }), limit.contains(number) else {
        let found = text.map { "'\($0.clipped(to: 40))'" } ?? "nothing"
        throw InvalidInput(name, "expected \(limit.expectation), got \(found)")
      }
      return number
    }
    _ = try number("schema", Limit("'\(Self.schema)'") { $0 == Self.schema })
    step = try number("step", .whole(0...plan.steps))
    metricsBytes = try number("metricsBytes", .count)
    tally = LossTally(
      loss: try number("lossSum", .finite), auxiliary: try number("auxiliarySum", .finite),
      count: try number("lossCount", .whole(0...step)))
    // It may have overflown.
    gradientNorm =
      file.metadata["gradientNorm"] == nil
      ? nil : try number("gradientNorm", Limit<Double>("a norm") { !($0 < 0) })
    for (name, tensor) in tensors {
      try file.requireFloats(name, shape: [tensor.rows, tensor.columns])
    }
    if let other = file.tensors.keys.filter({ name in !tensors.contains { $0.name == name } }).min() {
      throw InvalidInput(other, "expected no such tensor in this run")
    }
    for (name, tensor) in tensors { file.copyFloats(name, to: tensor.elements) }
    self.tensors = tensors
  }

  /// Throws `InvalidInput` unless the metrics that this checkpoint remembers go with it.
  ///
  /// - Parameters:
  ///   - metrics: those of the first ``metricsBytes`` bytes.
  ///   - endsLine: whether the last of these bytes is a line feed.
  func require(_ metrics: RunMetrics, endsLine: Bool) throws(InvalidInput) {
    guard endsLine, let last = metrics.lines.last else {
      throw InvalidInput("metricsBytes", "expected the end of a line of metrics.jsonl, got \(metricsBytes)")
    }
    // What is summed is what the last line does not know yet.
    guard tally.count == step - last.step else {
      throw InvalidInput(
        "lossCount", "expected \(step - last.step), the steps since the last line of metrics.jsonl, got \(tally.count)")
    }
  }

  /// Where the eight digits of the checksum stand: within the first bytes of the header.
  private static func checksumPlace(_ bytes: [UInt8]) -> Range<Int>? {
    let key = Array("\"crc32\":\"".utf8)
    let end = min(bytes.count - key.count - blank.utf8.count, 256)
    guard end > 0, let start = (0..<end).first(where: { bytes[$0..<$0 + key.count].elementsEqual(key) }) else {
      return nil
    }
    return start + key.count..<start + key.count + blank.utf8.count
  }

  /// The CRC-32 of a file whose checksum is blank, eight digits.
  private static func checksum(_ bytes: [UInt8]) -> String {
    let digits = String(crc32(of: bytes), radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}

/// Sums of training losses, of which metrics have the means.
struct LossTally: Equatable {
  var loss = 0.0
  var auxiliary = 0.0
  var count = 0
}

import CRouteGrad
import RouteGrad

/// Samples or outcomes of another program, checked. Gradients are read where they are, so this lives no longer than the call, and on
/// its thread.
struct ForeignSamples: @unchecked Sendable {
  /// `[count][experts]`.
  let gradients: UnsafeBufferPointer<Double>
  /// What was drawn, one for each sample if that is told.
  let draws: [ForeignDraw]
  /// One for each outcome; nil for samples.
  let probabilities: [Double]?
  /// What they come with.
  let shape: Shape

  /// What samples come with; the same for all of a test.
  struct Shape: Equatable {
    var draws: SampleVerifier.DrawsGiven
    var areOutcomes: Bool
  }

  init(_ samples: UnsafePointer<rg_samples>?, on problem: ProblemHandle) throws(Failure) {
    let s = try required(samples, "samples").pointee
    try requireSize(s.size, of: rg_samples.self, "samples")
    try problem.requireExperts(s.experts)
    gradients = try finiteNumbers(s.gradient, s.count, "gradient", width: s.experts)
    if s.coins != nil, s.choice == nil { throw .argument("coins: expected choices beside them, got NULL") }
    let choices = s.choice == nil ? nil : try rows(s.choice, s.count, "choice", width: s.choice_width)
    let coins = s.coins == nil ? nil : try rows(s.coins, s.count, "coins", width: s.coins_width)
    draws = (choices ?? []).enumerated().map { ForeignDraw(choice: $0.element, coins: coins?[$0.offset]) }
    probabilities = s.probability == nil ? nil : Array(try finiteNumbers(s.probability, s.count, "probability"))
    if let row = probabilities?.firstIndex(where: { !(0...1 + 1e-6).contains($0) }) {
      throw Failure(
        RG_INVALID_DATA, "probability[\(row)]: expected a number from 0 to 1, got \(probabilities?[row] ?? .nan)")
    }
    shape = Shape(
      draws: choices == nil ? .none : coins == nil ? .choices : .choicesAndCoins, areOutcomes: s.probability != nil)
  }

  /// As outcomes.
  var outcomes: [ForeignOutcome] {
    guard let probabilities, !probabilities.isEmpty else { return [] }
    let width = gradients.count / probabilities.count
    return probabilities.enumerated().map { row, probability in
      ForeignOutcome(
        draw: draws.isEmpty ? nil : draws[row], probability: probability,
        gradient: Array(gradients[row * width..<(row + 1) * width]))
    }
  }
}

/// An array `[count][width]` of finite numbers.
func finiteNumbers(
  _ pointer: UnsafePointer<Double>?, _ count: Int, _ name: String, width: Int = 1
) throws(Failure) -> UnsafeBufferPointer<Double> {
  let numbers = UnsafeBufferPointer(
    start: try required(pointer, name), count: try extent(count, name, width: width))
  if let place = numbers.firstIndex(where: { !$0.isFinite }) {
    let index = width == 1 ? "[\(place)]" : "[\(place / width)][\(place % width)]"
    throw Failure(RG_INVALID_DATA, "\(name)\(index): expected a finite number, got \(numbers[place])")
  }
  return numbers
}

/// The rows of an array `[count][width]` of indices, without what they were filled up with.
private func rows(
  _ pointer: UnsafePointer<Int64>?, _ count: Int, _ name: String, width: Int
) throws(Failure) -> [[Int]] {
  let entries = try extent(count, name, width: width)
  let buffer = UnsafeBufferPointer(start: try required(pointer, name), count: entries)
  return (0..<count).map { row in buffer[row * width..<(row + 1) * width].filter { $0 >= 0 }.map { Int($0) } }
}

import LayerTensors
import RoutingCore

/// What is found of one token under one law, while its events come in parts.
struct TokenTally {
  /// Of what the scale gets.
  private(set) var scale: WeightedMoments?
  /// Of what each expert is sent, and of what becomes of it at the hidden units; nil for experts without events so far.
  private(set) var experts: [(sent: WeightedMoments, units: WeightedMoments?)?]
  /// The input's gradient but for the path through the router, where nothing but its mean is asked for.
  private(set) var meanPath: [Double]
  /// Of estimators of pairs, whose outcomes nobody lists: the router's gradient, and the input's.
  private(set) var pairs: [RouterFigures?]

  init(_ shape: LayerShape, subjects: Int) {
    experts = Array(repeating: nil, count: shape.experts)
    meanPath = [Double](repeating: 0, count: shape.inputs)
    pairs = Array(repeating: nil, count: subjects)
  }

  mutating func addScale(_ moments: WeightedMoments) { WeightedMoments.add(moments, to: &scale) }

  /// Adds to the mean of what an expert is sent.
  mutating func addMean(_ mean: [Double], expert i: Int) {
    guard var known = experts[i]?.sent else {
      experts[i] = (WeightedMoments(weight: 1, mean: mean, variance: 0), nil)
      return
    }
    for j in mean.indices { known.mean[j] += mean[j] }
    experts[i] = (known, nil)
  }

  mutating func add(sent: WeightedMoments, units: WeightedMoments, expert i: Int) {
    guard var (known, knownUnits) = experts[i] else {
      experts[i] = (sent, units)
      return
    }
    known.add(sent)
    knownUnits?.add(units)
    experts[i] = (known, knownUnits)
  }

  mutating func addMeanPath(_ path: ArraySlice<Double>) {
    for (j, value) in path.enumerated() { meanPath[j] += value }
  }

  mutating func addPairs(_ figures: RouterFigures, subject s: Int) {
    if pairs[s] == nil { pairs[s] = figures } else { pairs[s]?.add(figures) }
  }
}

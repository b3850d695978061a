import MixtureOfExperts
import RoutingCore

/// How a network of ``MixtureTask`` is routed in training: a router of the layer, and where the gradient of its logits comes from.
public struct TrainingRouter: Sendable {
  /// The name.
  public let id: String
  /// What the layer does.
  let tokenRouter: any TokenRouter
  /// What the layer is told of the experts that were not chosen; nil for routers that need nothing.
  let contrast: Contrast?
  /// The rank of the students, if there are any.
  let studentRank: Int?

  /// What stands for the output of an expert that was not chosen.
  enum Contrast: Sendable, Equatable {
    /// Zero.
    case null
    /// Its student's output.
    case students
    /// Its own output.
    case exact
  }

  init(_ id: String, _ tokenRouter: any TokenRouter, contrast: Contrast? = nil, studentRank: Int? = nil) {
    self.id = id
    self.tokenRouter = tokenRouter
    self.contrast = contrast
    self.studentRank = studentRank
  }

  /// Those of the default comparison, in the order of its table.
  public static func standard(jitter r: Double = 0.1, threshold: Double = 0.1) -> [TrainingRouter] {
    let space = SamplingSpace.referenceCode(threshold: threshold)
    return [
      TrainingRouter("switch", SwitchRouter(jitter: .logits(r))),
      TrainingRouter("masked-switch", MaskedSwitchRouter(jitter: .logits(r), space: space)),
      TrainingRouter("sparsemixer", SparseMixerRouter(space: space)),
      TrainingRouter("sparsemixer-v2", SparseMixerV2Router(space: space)),
      TrainingRouter("argmax-midpoint", ArgmaxMidpointRouter(jitter: r)),
      TrainingRouter("null-contrast", DetachedRouter(.jitteredArgmax(r: r)), contrast: .null),
      TrainingRouter(
        "surrogate-experts", DetachedRouter(.jitteredArgmax(r: r), extraShare: 0.125), contrast: .students,
        studentRank: 8),
      TrainingRouter("exact-sample", DetachedRouter(.sample), contrast: .exact),
      TrainingRouter("exact-argmax", DetachedRouter(.jitteredArgmax(r: r)), contrast: .exact),
    ]
  }
}

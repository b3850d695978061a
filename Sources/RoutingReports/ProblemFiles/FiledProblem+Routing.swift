import FileFormats
import RoutingCore

extension FiledProblem {
  /// Problems with their masks.
  public struct Routed: Sendable {
    /// The problems, routed, in their order.
    public var problems: [RoutedProblem]
    /// What a reader should be told about the masks, in one line; nil if nothing.
    public var note: String?
  }

  /// Routes problems by a mask that was asked for, or each by its own.
  ///
  /// A tabulated loss brings its mask along, which is used if none was asked for. Categorical problems take
  /// no mask: in a set with mixtures they go without, which ``Routed/note`` says.
  ///
  /// - Parameters:
  ///   - problems: any number of them.
  ///   - space: the mask that was asked for; nil if none was.
  /// - Throws: ``ReportError`` of code `wrongUsage` if a mask was asked for and no problem takes one, or a
  ///   table has another.
  public static func route(
    _ problems: [FiledProblem], space: SamplingSpace?
  ) throws(ReportError) -> Routed {
    let masked = space.map { $0 != .none } ?? false
    let categorical = problems.count { $0.problem.kind == .categorical }
    if masked, categorical == problems.count, let first = problems.first {
      throw ReportError(.wrongUsage, "\(first.location): a categorical problem takes no mask")
    }
    var routed: [RoutedProblem] = []
    for filed in problems {
      let fixed = filed.problem.fixedSpace
      if let fixed, let space, fixed != space {
        throw ReportError(
          .wrongUsage,
          "\(filed.location): the loss was tabulated with the mask \(fixed.words); it takes no other")
      }
      let own = filed.problem.kind == .categorical ? .none : space ?? fixed ?? .none
      do {
        routed.append(try RoutedProblem(filed.problem, space: own))
      } catch {
        throw ReportError(.wrongUsage, "\(filed.location): \(error.expectation)")
      }
    }
    return Routed(
      problems: routed,
      note: masked && categorical > 0
        ? "categorical problems take no mask: \(categorical) of \(problems.count) go without" : nil)
  }
}

extension SamplingSpace {
  /// Rule and threshold, for people: `paper 0.1`.
  var words: String { threshold.map { "\(rule) \(JSONWriter.number($0))" } ?? rule }
}

internal import CKernels
import LayerTensors
import RoutingCore

/// The mean squared error over all entries, `(1/count) Σ (y − t)²`.
package enum SquaredError {
  /// The loss; `gradient` gets `2 (y − t)/count`.
  ///
  /// *Numerics*: summed in Float64, by parts that do not depend on the number of threads.
  ///
  /// - Parameters:
  ///   - output: y, at least as many rows as the target.
  ///   - target: t.
  ///   - gradient: room for the gradient.
  ///   - threads: changes nothing but the time.
  package static func mean(
    _ output: Tensor<Float>, _ target: Tensor<Float>, gradient: Tensor<Float>, threads: Int = 1
  ) -> Double {
    precondition(
      output.columns == target.columns && output.rows >= target.rows && gradient.count >= target.count,
      "outputs, targets and gradients have one shape")
    let parts = Parts(target.rows, of: tokenTile)
    let factor = 2 / Float(target.count)
    return withUnsafeTemporaryAllocation(of: Double.self, capacity: max(parts.parts, 1)) { sums in
      sums.initialize(repeating: 0)
      nonisolated(unsafe) let sums = sums
      concurrently(parts.parts, threads: threads) { k in
        let rows = parts.range(k)
        let first = rows.lowerBound * target.columns
        sums[k] = rg_squared_error(
          rows.count * target.columns, output.elements + first, target.elements + first, factor,
          gradient.elements + first)
      }
      return sums.reduce(0, +) / Double(max(target.count, 1))
    }
  }
}

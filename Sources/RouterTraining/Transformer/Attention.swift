import LayerTensors
import MixtureOfExperts

/// Scaled dot-product attention of several heads over one sequence: `softmax(Q Kᵀ/√w) V`, w the width of a head.
///
/// Q, K and V are columns of wider matrices, head after head; the weights are kept for the way back. With `causal`, query i sees
/// keys 0…i, and blocks that no query sees are not computed.
struct Attention<Scalar: TransformerScalar> {
  let heads: Int
  let headWidth: Int
  let isCausal: Bool

  /// Queries that are worked on at a time.
  static var block: Int { 128 }

  var scale: Scalar { 1 / Scalar(headWidth).squareRoot() }

  /// Where a matrix begins, and how far apart its rows are.
  struct Rows {
    var elements: UnsafeMutablePointer<Scalar>
    var stride: Int

    /// From row `k` on.
    func from(_ k: Int) -> Rows { Rows(elements: elements + k * stride, stride: stride) }
    /// From column `j` on.
    func column(_ j: Int) -> Rows { Rows(elements: elements + j, stride: stride) }

    func view(transposed: Bool = false) -> MatrixView<Scalar> {
      MatrixView(UnsafePointer(elements), stride: stride, transposed: transposed)
    }
  }

  /// - Parameters:
  ///   - weights: room for the attention weights, `[heads, queryCount, keyCount]`.
  ///   - output: head after head, `[queryCount, heads · headWidth]`.
  func forward(
    _ q: Rows, _ k: Rows, _ v: Rows, queryCount: Int, keyCount: Int, weights: UnsafeMutablePointer<Scalar>,
    to output: Rows
  ) {
    for head in 0..<heads {
      let (q, k, v) = (q.column(head * headWidth), k.column(head * headWidth), v.column(head * headWidth))
      let out = output.column(head * headWidth)
      for first in stride(from: 0, to: queryCount, by: Self.block) {
        let rows = min(Self.block, queryCount - first)
        let seen = isCausal ? min(first + rows, keyCount) : keyCount
        let p = weights + (head * queryCount + first) * keyCount
        Scalar.multiply(
          q.from(first).view(), k.view(transposed: true), rows: rows, columns: seen, depth: headWidth, alpha: 1,
          beta: 0, into: p, stride: keyCount)
        Scalar.attentionSoftmax(
          p, rows: rows, columns: seen, stride: keyCount, causal: isCausal ? first : nil, scale: scale)
        Scalar.multiply(
          MatrixView(p, stride: keyCount), v.view(), rows: rows, columns: headWidth, depth: seen, alpha: 1, beta: 0,
          into: out.from(first).elements, stride: out.stride)
      }
    }
  }

  /// The gradients of Q, K and V, overwritten.
  ///
  /// - Parameter scratch: `[block, keyCount]`.
  func backward(
    _ gradient: Rows, _ q: Rows, _ k: Rows, _ v: Rows, queryCount: Int, keyCount: Int,
    weights: UnsafePointer<Scalar>, scratch: UnsafeMutablePointer<Scalar>, dq: Rows, dk: Rows, dv: Rows
  ) {
    let last = (max(queryCount, 1) - 1) / Self.block * Self.block
    for head in 0..<heads {
      let offset = head * headWidth
      let (q, k, v, up) = (q.column(offset), k.column(offset), v.column(offset), gradient.column(offset))
      let (dq, dk, dv) = (dq.column(offset), dk.column(offset), dv.column(offset))
      // The last block first: it sees all keys that any does.
      for first in stride(from: last, through: 0, by: -Self.block) {
        let rows = min(Self.block, queryCount - first)
        let seen = isCausal ? min(first + rows, keyCount) : keyCount
        let p = weights + (head * queryCount + first) * keyCount
        let beta: Scalar = first == last ? 0 : 1
        Scalar.multiply(
          MatrixView(p, stride: keyCount, transposed: true), up.from(first).view(), rows: seen, columns: headWidth,
          depth: rows, alpha: 1, beta: beta, into: dv.elements, stride: dv.stride)
        Scalar.multiply(
          up.from(first).view(), v.view(transposed: true), rows: rows, columns: seen, depth: headWidth, alpha: 1,
          beta: 0, into: scratch, stride: seen)
        Scalar.attentionSoftmaxBackward(
          scratch, stride: seen, p: p, rows: rows, columns: seen, stride: keyCount, causal: isCausal ? first : nil,
          scale: scale)
        Scalar.multiply(
          MatrixView(scratch, stride: seen), k.view(), rows: rows, columns: headWidth, depth: seen, alpha: 1, beta: 0,
          into: dq.from(first).elements, stride: dq.stride)
        Scalar.multiply(
          MatrixView(scratch, stride: seen, transposed: true), q.from(first).view(), rows: seen, columns: headWidth,
          depth: rows, alpha: 1, beta: beta, into: dk.elements, stride: dk.stride)
      }
    }
  }
}

import CRouteGrad
import RouteGrad

// Reading what C hands over. Whatever can be checked is checked; that a pointer reaches as far as its length says cannot be.

/// A pointer that must not be NULL.
func required<Pointer>(_ pointer: Pointer?, _ name: String) throws(Failure) -> Pointer {
  guard let pointer else { throw .argument("\(name): expected a pointer, got NULL") }
  return pointer
}

/// The number of entries of an array `[count][width]`.
func extent(_ count: Int, _ name: String, width: Int = 1) throws(Failure) -> Int {
  let (product, overflows) = count.multipliedReportingOverflow(by: width)
  // A size_t past Int's range arrives as a negative number.
  guard count >= 0, width >= 0, !overflows, product <= Int.max / MemoryLayout<Double>.stride else {
    throw .argument("\(name): its length is more than memory can hold")
  }
  return product
}

/// A copy of an array `[count][width]`.
func numbers(
  _ pointer: UnsafePointer<Double>?, _ count: Int, _ name: String, width: Int = 1
) throws(Failure) -> [Double] {
  let count = try extent(count, name, width: width)
  return Array(UnsafeBufferPointer(start: try required(pointer, name), count: count))
}

/// A copy of a matrix.
func matrix(
  _ pointer: UnsafePointer<Double>?, rows: Int, columns: Int, _ name: String
) throws(Failure) -> Matrix {
  Matrix(rows: rows, columns: columns, elements: try numbers(pointer, rows, name, width: columns))
}

/// A text that ends with NUL.
func text(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(Failure) -> String {
  guard let text = String(validatingCString: try required(pointer, name)) else {
    throw .argument("\(name): expected UTF-8")
  }
  return text
}

/// A text with a length.
func bytes(_ pointer: UnsafePointer<CChar>?, _ length: Int, _ name: String) throws(Failure) -> [UInt8] {
  let length = try extent(length, name)
  return Array(UnsafeRawBufferPointer(start: try required(pointer, name), count: length))
}

/// Throws unless a structure has the size that this library knows.
func requireSize<Structure>(_ size: Int, of type: Structure.Type, _ name: String) throws(Failure) {
  guard size == MemoryLayout<Structure>.size else {
    throw .argument("\(name).size: expected \(MemoryLayout<Structure>.size) (see the INIT macro), got \(size)")
  }
}

extension Limit {
  /// Throws what to say of an argument whose value is not within the limit.
  func check(_ argument: String, _ value: Value) throws(Failure) {
    if let complaint = complaint(about: value) { throw .argument("\(argument): \(complaint)") }
  }
}

/// The mask with a rule and a threshold.
func readMask(_ rule: UnsafePointer<CChar>?, _ threshold: Double, _ name: String) throws(Failure) -> Mask {
  let rule = try text(rule, "\(name) rule")
  if rule == Mask.none.rule { return .none }
  try Mask.thresholdLimit.check("\(name) threshold", threshold)
  guard let mask = Mask(rule: rule, threshold: threshold) else {
    throw .argument("\(name) rule: expected one of \(Mask.rules.joined(separator: ", ")), got '\(rule)'")
  }
  return mask
}

/// The target with an id.
func target(_ id: UnsafePointer<CChar>?) throws(Failure) -> GradientTarget {
  let id = try text(id, "target")
  guard let target = GradientTarget(rawValue: id) else {
    let known = GradientTarget.allCases.map(\.rawValue).joined(separator: ", ")
    throw .argument("target: expected one of \(known), got '\(id)'")
  }
  return target
}

// MARK: - Results

extension ProblemHandle {
  /// Throws unless the caller's buffers are as long as the problem has experts.
  func requireExperts(_ experts: Int) throws(Failure) {
    guard experts == routed.experts else {
      throw .argument("experts: expected \(routed.experts), as the problem has, got \(experts)")
    }
  }
}

/// Copies numbers into the caller's buffer, if there is one.
func copy(_ numbers: [Double]?, to buffer: UnsafeMutablePointer<Double>?, count: Int) {
  guard let buffer else { return }
  if let numbers { buffer.update(from: numbers, count: count) } else { buffer.update(repeating: .nan, count: count) }
}

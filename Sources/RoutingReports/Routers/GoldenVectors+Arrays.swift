import FileFormats
import RouterSpecifications
import RoutingCore

extension GoldenVectors {
  /// The vectors as a NumPy archive: `header`, the JSON header as bytes, and the arrays of call n as `n/logits`,
  /// `n/expected/choice` and so on.
  ///
  /// Lists of experts have a column for each place; −1 stands for no expert, and its multiplier is 0. `n/mode` is 1 in training
  /// and 0 in evaluation. Experts as functions are `n/inner` `[N][h][d]`, `n/outer` `[N][w][h]` and `n/offset` `[N][w]`.
  package var npz: [UInt8] {
    var writer = NpzWriter()
    writer.add("header", text: JSONWriter.line(header))
    for (k, vector) in vectors.enumerated() {
      add(vector.call, "\(k + 1)", to: &writer)
      add(vector.expected, "\(k + 1)/expected", to: &writer)
    }
    return writer.finished()
  }

  private func add(_ call: RouterCall, _ place: String, to writer: inout NpzWriter) {
    writer.add("\(place)/mode", [call.mode == .train ? 1 : 0], shape: [])
    writer.add("\(place)/logits", rows: call.logits)
    writer.add("\(place)/expertOutputs", layers: call.expertOutputs)
    writer.add("\(place)/upstream", rows: call.upstream)
    if call.uniforms.contains(where: { !$0.isEmpty }) { writer.add("\(place)/uniforms", rows: call.uniforms) }
    if let normals = call.normals { writer.add("\(place)/normals", rows: normals) }
    if let noiseLogits = call.noiseLogits { writer.add("\(place)/noiseLogits", rows: noiseLogits) }
    if let bias = call.bias { writer.add("\(place)/bias", bias, shape: [bias.count]) }
    if let choice = call.choice { writer.add("\(place)/choice", experts: choice, places: specification.mostChosen) }
    if let scales = call.expertScales { writer.add("\(place)/expertScales", scales, shape: [scales.count]) }
    if let inputs = call.inputs { writer.add("\(place)/inputs", rows: inputs) }
    if let functions = call.functions {
      writer.add("\(place)/inner", layers: functions.map(\.inner))
      writer.add("\(place)/outer", layers: functions.map(\.outer))
      writer.add("\(place)/offset", rows: functions.map(\.offset))
    }
    if let sequences = call.sequences { writer.add("\(place)/sequences", sequences, shape: [sequences.count]) }
    if let tokens = call.globalTokens { writer.add("\(place)/globalTokens", [tokens], shape: []) }
    if let counts = call.globalCounts { writer.add("\(place)/globalCounts", counts, shape: [counts.count]) }
  }

  private func add(_ answer: RouterAnswer, _ place: String, to writer: inout NpzWriter) {
    let places = specification.mostChosen
    writer.add("\(place)/choice", experts: answer.choice, places: places)
    writer.add(
      "\(place)/multipliers",
      rows: answer.multipliers.map { $0 + [Double](repeating: 0, count: max(places - $0.count, 0)) })
    if let gradient = answer.gradient { writer.add("\(place)/gradient", rows: gradient) }
    if let output = answer.output { writer.add("\(place)/output", rows: output) }
    if let loss = answer.auxiliaryLoss { writer.add("\(place)/auxiliaryLoss", [loss], shape: []) }
    if let gradient = answer.auxiliaryGradient { writer.add("\(place)/auxiliaryGradient", rows: gradient) }
    if let gradient = answer.noiseGradient { writer.add("\(place)/noiseGradient", rows: gradient) }
    if let bias = answer.biasAfter { writer.add("\(place)/biasAfter", bias, shape: [bias.count]) }
  }
}

extension NpzWriter {
  fileprivate mutating func add(_ name: String, rows: [[Double]]) {
    add(name, Array(rows.joined()), shape: [rows.count, rows.first?.count ?? 0])
  }

  fileprivate mutating func add(_ name: String, layers: [[[Double]]]) {
    let first = layers.first ?? []
    add(name, layers.flatMap { $0.flatMap(\.self) }, shape: [layers.count, first.count, first.first?.count ?? 0])
  }

  fileprivate mutating func add(_ name: String, experts: [[Int]], places: Int) {
    add(
      name, experts.flatMap { $0 + [Int](repeating: -1, count: max(places - $0.count, 0)) },
      shape: [experts.count, places])
  }
}

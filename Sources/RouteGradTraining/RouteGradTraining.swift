// The umbrella over training: layers of experts, models, runs and their comparison.
@_exported import LayerTensors
@_exported import MixtureOfExperts
@_exported import RouterTraining
@_exported import TrainingReports

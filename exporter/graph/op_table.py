"""Which ops do what beside making their outputs, by their names.

TensorFlow calls an op stateful for many reasons, and some ops that change a state
it does not call so. `tests/graph/test_op_table.py` goes through the ops of the
installed TensorFlow and names those that nobody has judged.
"""

# They fail or print, and change nothing.
CHECKS = frozenset({
    'Abort', 'Assert', 'CheckNumerics', 'CheckNumericsV2', 'Print', 'PrintV2'})

# What may stand beside the check in a function that does nothing else.
AROUND_A_CHECK = frozenset({'Const', 'Identity', 'NoOp', 'StringFormat'})

# Stateful for TensorFlow, yet without trace when the result is not used.
WITHOUT_EFFECT = frozenset({
    # Variables and tables: handles and reads.
    'AnonymousHashTable', 'HashTable', 'HashTableV2', 'LookupTableExport',
    'LookupTableExportV2', 'LookupTableFind', 'LookupTableFindV2',
    'LookupTableSize', 'LookupTableSizeV2', 'MutableDenseHashTable',
    'MutableDenseHashTableV2', 'MutableHashTable', 'MutableHashTableOfTensors',
    'MutableHashTableOfTensorsV2', 'MutableHashTableV2', 'ReadVariableOp',
    'ResourceGather', 'ResourceGatherNd', 'VarHandleOp', 'VarIsInitializedOp',
    'Variable', 'VariableShape', 'VariableV2', '_ReadVariablesOp',
    # Files.
    'ReadFile', 'RestoreV2',
    # Randomness of the op's own, which no other op sees.
    'CudnnRNN', 'CudnnRNNV2', 'CudnnRNNV3', 'Multinomial', 'NonDeterministicInts',
    'ParameterizedTruncatedNormal', 'RandomCrop', 'RandomGamma', 'RandomPoisson',
    'RandomPoissonV2', 'RandomShuffle', 'RandomStandardNormal', 'RandomUniform',
    'RandomUniformInt', 'SampleDistortedBoundingBox',
    'SampleDistortedBoundingBoxV2', 'TruncatedNormal',
    # Facts about where and when they run.
    'DeviceIndex', 'Empty', 'GuaranteeConst', 'StatelessRandomGetAlg', 'Timestamp',
    # TensorArrays are ordered by their flow tensor, which is data.
    'TensorArrayCloseV3', 'TensorArrayConcatV3', 'TensorArrayGatherV3',
    'TensorArrayReadV3', 'TensorArrayScatterV3', 'TensorArraySizeV3',
    'TensorArraySplitV3', 'TensorArrayV3', 'TensorArrayWriteV3',
})

# Not stateful for TensorFlow, which runs them only where something takes their
# output; yet they change what others see.
CHANGES_UNSEEN = frozenset({
    # The tensor that they are given, in its place.
    'InplaceAdd', 'InplaceSub', 'InplaceUpdate', '_ParallelConcatUpdate',
    # What other calls have handed in, statistics, registries, a device's queue.
    'Batch', 'CustomAggregator', 'InfeedEnqueuePrelinearizedBuffer',
    'RegisterDataset', 'RegisterDatasetV2', 'Unbatch', 'UnbatchGrad',
    # What a debugger is told.
    'DebugIdentity', 'DebugNanCount', 'DebugNumericSummary',
})

# They take a reference, as TF1's variables are, and leave alone what is behind it.
READS_REFERENCE = frozenset({
    'AccumulatorNumAccumulated', 'BarrierIncompleteSize', 'BarrierReadySize',
    'DebugGradientRefIdentity', 'IsVariableInitialized', 'LookupTableExport',
    'LookupTableFind', 'LookupTableSize', 'QueueIsClosed', 'QueueSize',
    'ReaderNumRecordsProduced', 'ReaderNumWorkUnitsCompleted',
    'ReaderSerializeState', 'RefEnter', 'RefExit', 'RefIdentity', 'RefMerge',
    'RefNextIteration', 'RefSelect', 'RefSwitch',
    # As the later TensorArrays.
    'TensorArrayClose', 'TensorArrayConcat', 'TensorArrayGather', 'TensorArrayPack',
    'TensorArrayRead', 'TensorArrayScatter', 'TensorArraySize', 'TensorArraySplit',
    'TensorArrayUnpack', 'TensorArrayWrite',
})

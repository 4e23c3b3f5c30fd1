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
    # A copy for those who write in place.
    'DeepCopy',
    # TensorArrays are ordered by their flow tensor, which is data.
    'TensorArrayCloseV3', 'TensorArrayConcatV3', 'TensorArrayGatherV3',
    'TensorArrayReadV3', 'TensorArrayScatterV3', 'TensorArraySizeV3',
    'TensorArraySplitV3', 'TensorArrayV3', 'TensorArrayWriteV3',
})

# They make a dataset, which does nothing before it is read. (Those that TensorFlow
# does not call stateful need not stand here.)
MAKES_DATASET = frozenset({
    'AnonymousMemoryCache', 'AnonymousRandomSeedGenerator', 'AnonymousSeedGenerator',
    'CSVDataset', 'CSVDatasetV2', 'CacheDatasetV2', 'DummyIterationCounter',
    'DummyMemoryCache', 'DummySeedGenerator', 'FixedLengthRecordDataset',
    'FixedLengthRecordDatasetV2', 'GlobalShuffleDataset', 'GroupByReducerDataset',
    'LMDBDataset', 'ListDataset', 'LoadDataset', 'MatchingFilesDataset',
    'RandomDataset', 'RandomDatasetV2', 'RangeDataset', 'ShuffleAndRepeatDatasetV2',
    'ShuffleDatasetV2', 'ShuffleDatasetV3', 'SparseTensorSliceDataset',
    'TFRecordDataset', 'TFRecordDatasetV2', 'TensorDataset', 'TensorSliceDataset',
    'TextLineDataset',
})

# What the names of datasets start with that write, tell others, or know afterwards
# that they have been read: what is read next may then be something else.
CHANGED_BY_READING = (
    'BytesProducedStats', 'Cache', 'DataService', 'ExperimentalBytesProducedStats',
    'ExperimentalLatencyStats', 'ExperimentalSetStats', 'GlobalShuffle',
    'LatencyStats', 'RandomDatasetV2', 'RegisterDataset', 'Save', 'SetStats', 'Shuffle',
    'SnapshotDataset')

# They read a dataset to its end, and run the functions in it.
READS_DATASET = frozenset({'DatasetToSingleElement', 'ReduceDataset'})

# They make something that nobody knows but who gets it from them.
MAKES_PRIVATE = frozenset({
    'AnonymousIterator', 'AnonymousIteratorV2', 'AnonymousIteratorV3'})

# They change what one of their inputs, by its position, stands for, and nothing else.
CHANGES_INPUT = {
    'DeleteIterator': 0, 'IteratorGetNext': 0, 'IteratorGetNextAsOptional': 0,
    'IteratorGetNextSync': 0, 'MakeIterator': 1}

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

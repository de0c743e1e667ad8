"""What the fuzz suite draws from, as Python expressions; the names in them are those of ``fuzz_parts.py``."""

from typing import NamedTuple


def options(text: str) -> list[str]:
    """Return the expressions of a text, which stand between semicolons."""
    return [" ".join(part.split()) for part in text.split(";")]


class Choice(NamedTuple):
    """Good expressions, of which the first is the default, and odd ones, most of which are refused."""

    good: list[str]
    odd: list[str]


def choice(good: str, odd: str) -> Choice:
    return Choice(options(good), options(odd))


TABLES = options("""
X ; X.astype(np.float32) ; X.astype(np.float16) ; X.tolist() ; frame(X) ; frame(X.astype(np.float32)) ;
torch.tensor(X) ; torch.tensor(X).float() ; torch.tensor(X).half() ; torch.tensor(X).bfloat16() ;
torch.tensor(X, requires_grad=True) ; np.asfortranarray(X) ; X[:, :1] ; X.reshape(N, 2, 2) ;
X.reshape(N, 1, 2, 2) ; (X * 10).astype(int) ; (X * 10).astype(np.int8) ; X > 0 ; frame(X > 0) ;
frame(X).astype('Float64') ; frame((X * 9).astype(int)).astype('Int64') ; readonly(X) ; np.zeros((N, 4)) ;
X.astype(np.longdouble) ; np.ma.masked_array(X) ; X.astype(object) ; np.repeat(X, 2, axis=1)[:, ::2] ;
X * 1e-30 ; X * 1e4 ; [list(row) for row in X] ; [row for row in X] ; tuple(map(tuple, X)) ;
torch.tensor(X).T.contiguous().T ; X[::-1][::-1] ; np.asarray(X, order='F') ; memoryview(X)
""")
ODD_TABLES = options("""
None ; X[:0] ; X[:1] ; X[:2] ; X[:, :0] ; X[0] ; X.ravel() ; 3.0 ; np.float64(3) ; 'abc' ; b'abc' ;
X.reshape(N, 2, 2)[:, :0] ; {'a': X} ; {'a': X, 'b': X} ; [{'a': 1.0}] * N ; X.astype(str) ;
put(X.astype(object), 'red') ; put(X.astype(object), None) ; put(X, np.nan) ; put(X, np.inf) ;
put(X, -np.inf) ; X * 1e39 ; X * 1e300 ; X + 1j ; sparse.csr_matrix(X) ; sparse.csc_array(X) ;
sparse.coo_matrix(X) ; frame(X).assign(a='red') ; frame(X).assign(a=pd.Categorical(['u', 'v'] * (N // 2))) ;
frame(X).assign(a=pd.Timestamp('2020-01-01')) ; frame(X).assign(a=pd.NA) ; frame(X).assign(a=np.nan) ;
pd.DataFrame(X, columns=list('aabb')) ; pd.DataFrame(X, columns=[0, 'b', 2, 'd']) ; pd.Series(X[:, 0]) ;
pd.Series(list(X)) ; np.ma.masked_array(X, mask=X > 1) ; torch.tensor(X).to_sparse() ;
torch.empty(N, 4, device='meta') ; torch.tensor(X[0]) ; torch.tensor(3.0) ; torch.tensor(X) + 1j ;
torch.tensor(put(X, np.nan)) ; iter(X) ; (row for row in X) ; torch.utils.data.DataLoader(torch.tensor(X)) ;
skorch.helper.SliceDict(X=X) ; (X, X) ; [X, X] ; X.tolist()[:-1] + [[1.0]] ; range(N) ; set(range(N)) ;
X.astype('datetime64[s]') ; X.astype('timedelta64[s]') ; np.rec.fromarrays(X.T) ; X[:-1] ; X[::2] ;
np.tile(X, (2, 1)) ; objects([[1.0, 2.0]] * N) ; lambda: X ; TeacherClassifier() ; Color ; X.astype('S8') ;
np.void(b'abc') ; frame(X).to_dict() ; frame(X).iloc[:0] ; frame(X).T ; object() ; frame(X).astype(str) ;
frame(X).astype('string') ; torch.tensor(X).to(torch.float8_e5m2) ;
torch.quantize_per_tensor(torch.tensor(X).float(), 0.1, 0, torch.qint8) ; torch.nested.nested_tensor([]) ;
put(X, 1e38) ; np.asmatrix(X) ; X[None] ; nn.Parameter(torch.tensor(X)) ; pd.Index(range(N))
""")
LABELS = options("""
y ; y.tolist() ; NAMES[y] ; NAMES[y].tolist() ; NAMES[y].astype(object) ; y.astype(float) ; y > 0 ;
pd.Series(y) ; pd.Series(y, index=np.roll(np.arange(N), 3)) ; pd.Series(NAMES[y]) ;
pd.Series(NAMES[y], dtype='string') ; pd.Series(NAMES[y], dtype='category') ; pd.Series(y, dtype='Int64') ;
pd.Series(y > 0, dtype='boolean') ; torch.tensor(y) ; torch.tensor(y > 0) ; torch.tensor(y).float() ;
torch.tensor(y).to(torch.int8) ; y.astype(np.int8) ; y.astype(np.uint64) ; y * 1000 - 5 ; y - 1 ;
y[:, None] ; pd.DataFrame({'y': y}) ; np.where(y == 0, 'a', 'a' * 50) ; (y == 2).astype(int) ;
y.astype(object) ; np.where(np.arange(N) == 5, 7, y) ; np.minimum(np.arange(N), 20) ;
NAMES[y].astype('S3') ; y.astype(np.float16) ; tuple(y) ; readonly(y) ; y * 10 ** 15 ;
np.array(['', 'x', ' x'])[y] ; y == 1
""")
ODD_LABELS = options("""
None ; y[:-1] ; np.repeat(y, 2) ; np.zeros(N, int) ; [] ; put(y.astype(float), np.nan) ;
put(y.astype(float), np.inf) ; y + 0.5 ; X[:, 0] ; put(y.astype(object), None) ;
put(y.astype(object), 'a') ; put(y.astype(object), pd.NA) ; put(y.astype(object), pd.NaT) ; np.eye(3)[y] ;
np.eye(3, dtype=int)[y] ; np.stack([y, y], axis=1) ; objects([(v, v) for v in y]) ;
objects([[v] for v in y]) ; [list('ab')] * N ; objects([list(Color)[v] for v in y]) ;
[list(Color)[v] for v in y] ; y.astype('datetime64[s]') ; y + 1j ; pd.Series(y.astype('datetime64[s]')) ;
3 ; 'abc' ; {'y': y} ; set(y) ; iter(y) ; Color ; np.arange(N) ;
put(pd.Series(y, dtype='Int64').to_numpy(dtype=object), pd.NA) ; pd.Series(y).astype('Int64').where(y > 0) ;
pd.Series(NAMES[y]).where(y > 0) ; pd.Series(NAMES[y], dtype='category').where(y > 0) ; objects([{}] * N) ;
objects([nn.Linear] * N) ; torch.eye(3)[y] ; torch.tensor(y) + 1j ;
torch.tensor(put(y.astype(float), np.nan)) ; objects([b'a', 'b'] * (N // 2)) ;
objects([True, 'b'] * (N // 2)) ; objects([1, 2.5] * (N // 2)) ; sparse.csr_matrix(np.eye(3)[y]) ;
sparse.csr_matrix(y) ; range(N) ; NAMES[y][:, None, None] ; y * 1e300 ;
objects([pd.Timestamp('2020-01-01'), pd.Timestamp('2021-01-01')] * (N // 2)) ; y.astype('timedelta64[s]') ;
objects([frozenset([v]) for v in y]) ; X ; object() ; pd.Series(dtype=int) ; lambda: y ; nn.Linear(2, 2) ;
torch.empty(N, device='meta') ; objects([float('nan'), 'a'] * (N // 2)) ; pd.interval_range(0, N)
""")
WEIGHTS = options("""
None ; None ; None ; np.ones(N) ; np.arange(N) + 1.0 ; np.ones(N).tolist() ; pd.Series(np.arange(N) + 1.0) ;
torch.arange(N) + 1.0 ; np.arange(N) ; np.full(N, 1 / N) ; 2.0 ; np.ones(N, dtype=np.float32) ;
pd.Series(np.ones(N), index=np.roll(np.arange(N), 3)) ; np.ones(N, dtype=bool) ; readonly(np.ones(N)) ;
np.full(N, 1e-30) ; np.full(N, 1e20) ; (y > 0) * 1.0 ; torch.ones(N, requires_grad=True)
""")
ODD_WEIGHTS = options("""
-np.ones(N) ; put(np.ones(N), -1.0) ; put(np.ones(N), np.nan) ; put(np.ones(N), np.inf) ; np.ones(N - 1) ;
np.zeros(N) ; np.full(N, 1e308) ; np.full(N, 5e-324) ; np.ones((N, 1)) ; np.ones((N, 2)) ; 'balanced' ;
{0: 1.0} ; np.array(['a'] * N) ; [None] * N ; np.ones(N) + 1j ; [] ; -1.0 ; np.nan ; objects(['a'] * N) ;
objects([1.0] * N) ; put(np.zeros(N), 1.0) ; lambda: 1 ; True ; b'1' ; torch.ones(N, device='meta') ;
pd.Series([pd.NA] * N) ; np.ones(N).astype('datetime64[s]') ; iter(np.ones(N)) ; np.full(N, 1e39)
""")
GROUPS = options("""
None ; None ; np.arange(N) // 4 ; (np.arange(N) // 4).tolist() ; np.arange(N).astype(str) ;
pd.Series(np.arange(N) // 4) ; torch.arange(N) // 4 ; np.arange(N) // 4 + 0.5 ; np.arange(N) // 13
""")
ODD_GROUPS = options("""
put(objects(np.arange(N) // 4), None) ; put(np.arange(N) / 4, np.nan) ; np.arange(N - 1) ; np.zeros(N) ;
np.zeros((N, 2)) ; 'abc' ; 3 ; {0: 1} ; put(objects(np.arange(N)), 'a') ; objects([[1]] * N) ; [] ;
pd.Series([pd.NA] * N) ; np.arange(N) + 1j ; objects([list(Color)[0], list(Color)[1]] * (N // 2)) ;
iter(y) ; np.arange(N).astype('datetime64[s]') ; objects([{}] * N)
""")
PARAMETERS = {
    "max_epochs": choice(
        """
2 ; 0 ; 1 ; 3
""",
        """
-1 ; 1.5 ; '2' ; None ; np.inf ; True ; [2] ; np.array(2)
""",
    ),
    "lr": choice(
        """
0.01 ; 1e-3 ; 1 ; np.float32(0.01)
""",
        """
-1.0 ; 0 ; '1e-3' ; None ; np.nan ; np.inf ; 1e30 ; [0.1] ; True ; {} ; torch.tensor(0.1)
""",
    ),
    "batch_size": choice(
        """
16 ; -1 ; 1 ; 1000 ; 7
""",
        """
0 ; -2 ; 2.0 ; 'auto' ; None ; [16] ; np.nan ; True
""",
    ),
    "train_split": choice(
        """
0.3 ; None ; 0.5 ; ValidSplit(3) ; ValidSplit(3, stratified=True)
""",
        """
0.0 ; 1.0 ; -0.1 ; 2 ; '0.2' ; False ; True ; np.nan ; [0.3] ; 0.01 ; 0.99 ; raises ; lambda *a: None ;
lambda ds, y: (ds, ds) ; lambda ds, y: (X, y) ; model_selection.KFold(3) ;
ValidSplit(99) ; lambda ds, y: (torch.utils.data.Subset(ds, []), ds) ;
lambda ds, y: (torch.utils.data.Subset(ds, range(30)), torch.utils.data.Subset(ds, range(30, 99))) ;
skorch.helper.predefined_split(Pairs(X, y)) ; skorch.helper.predefined_split(Pairs(X[:, :2], y)) ;
skorch.helper.predefined_split(Pairs(X, y + 7)) ; skorch.helper.predefined_split(None) ;
skorch.helper.predefined_split(skorch.dataset.Dataset(X, y)) ; lambda ds: (ds, ds) ;
skorch.helper.predefined_split(skorch.dataset.Dataset(put(X, np.nan), y))
""",
    ),
    "patience": choice(
        """
None ; 1 ; 3
""",
        """
0 ; -1 ; 1.5 ; '1' ; True ; np.inf ; [1]
""",
    ),
    "temperature_scaling": choice(
        """
True ; False
""",
        """
None ; 'yes' ; 1 ; [] ; np.nan
""",
    ),
    "warm_start": choice(
        """
False ; True
""",
        """
None ; 'yes' ; 2
""",
    ),
    "verbose": choice(
        """
0 ; 1 ; 2
""",
        """
-1 ; None ; '1' ; True
""",
    ),
    "device": choice(
        """
'cpu' ; 'auto' ; torch.device('cpu') ; None
""",
        """
'cuda' ; 'gpu' ; 0 ; 'cuda:7' ; 'meta' ; 'mps' ; [] ; '' ; np.nan
""",
    ),
    "dtype": choice(
        """
'float32' ; 'float64' ; None
""",
        """
'float16' ; torch.float32 ; np.float32 ; 'int' ; float ; 32 ; []
""",
    ),
    "random_state": choice(
        """
0 ; 7 ; np.random.RandomState(3) ; 2**31 - 1
""",
        """
-1 ; 1.5 ; '0' ; np.random.default_rng(0) ; 2**33 ; torch.Generator() ; [0] ; np.nan
""",
    ),
    "compile": choice(
        """
False
""",
        """
None ; 'yes' ; 2
""",
    ),
    "use_caching": choice(
        """
'auto' ; True ; False
""",
        """
None ; 'yes' ; 2
""",
    ),
    "optimizer": choice(
        """
optim.AdamW ; optim.SGD ; optim.Adam ; optim.RMSprop
""",
        """
'adam' ; None ; optim.LBFGS ; optim.AdamW([nn.Parameter(torch.ones(1))]) ; nn.Linear ;
optim.Optimizer ; raises ; lambda p, lr: optim.SGD(p, lr) ; optim.SparseAdam ; 3 ;
lambda p: None
""",
    ),
    "callbacks": choice(
        """
None ; 'disable' ; [] ; [callbacks.EarlyStopping(patience=1)] ;
[('stop', callbacks.EarlyStopping())] ; [callbacks.LRScheduler()] ;
[callbacks.EpochScoring('accuracy')] ; [callbacks.GradientNormClipping(1.0)] ;
[callbacks.EpochScoring('neg_log_loss', use_caching=False)] ; [callbacks.EpochTimer()] ;
[callbacks.ProgressBar(detect_notebook=False)] ; [callbacks.Freezer('nothing*')]
""",
        """
'all' ; 3 ; callbacks.EarlyStopping() ; [3] ; [None] ; ['EarlyStopping'] ; {'a': 1} ;
[callbacks.EarlyStopping(monitor='valid_nonsense')] ; [('a', 3)] ; [('a', None)] ;
[callbacks.EarlyStopping(monitor='valid_acc', lower_is_better=False, load_best=True)] ;
[callbacks.EpochScoring('nonsense')] ; [callbacks.EpochScoring(raises)] ;
[callbacks.LRScheduler('ReduceLROnPlateau')] ; [callbacks.LRScheduler('Nonsense')] ;
[callbacks.LRScheduler(policy=optim.lr_scheduler.ReduceLROnPlateau, monitor='valid_loss')] ;
[callbacks.BatchScoring('accuracy')] ; [callbacks.InputShapeSetter()] ;
[callbacks.EarlyStopping, callbacks.EarlyStopping] ; [callbacks.Freezer('linear*')] ;
[callbacks.Checkpoint(dirname='/proc/nowhere')] ; [callbacks.PrintLog(keys_ignored=3)] ;
[callbacks.ParamMapper('*', fn='nonsense')] ; [('valid_loss', None)] ;
[HostileCallback('initialize')] ; [HostileCallback('on_train_begin')] ;
[HostileCallback('on_epoch_begin')] ; [HostileCallback('on_batch_end')] ;
[HostileCallback('on_grad_computed')] ; [HostileCallback('on_epoch_end')] ;
[HostileCallback('on_train_end')] ; [HostileCallback('initialize', KeyboardInterrupt)] ;
[HostileCallback('on_train_begin', KeyboardInterrupt)] ;
[HostileCallback('on_epoch_begin', KeyboardInterrupt)] ;
[HostileCallback('on_batch_end', KeyboardInterrupt)] ;
[HostileCallback('on_grad_computed', KeyboardInterrupt)] ;
[HostileCallback('on_epoch_end', KeyboardInterrupt)] ;
[HostileCallback('on_train_end', KeyboardInterrupt)]
""",
    ),
    "iterator_train": choice(
        """
BatchLoader ; torch.utils.data.DataLoader
""",
        """
None ; 'loader' ; raises ; list ; torch.utils.data.Dataset ; 3 ; lambda *a, **k: []
""",
    ),
    "iterator_valid": choice(
        """
BatchLoader ; torch.utils.data.DataLoader
""",
        """
None ; 'loader' ; raises ; list ; torch.utils.data.Dataset ; 3 ; lambda *a, **k: []
""",
    ),
}
EXTRA = options("""
{} ; {'module__hidden_sizes': (8,)} ; {'module__hidden_sizes': ()} ; {'optimizer__weight_decay': 0.1} ;
{'iterator_train__shuffle': False} ; {'iterator_train__drop_last': True} ;
{'iterator_valid__batch_size': 5} ; {'callbacks__print_log': None} ; {'callbacks__print_log__sink': print} ;
{'optimizer__betas': (0.5, 0.9)} ; {'optimizer__lr': 0.1} ; {'iterator_train__batch_size': 4}
""")
ODD_EXTRA = options("""
{'class_weight': 'balanced'} ; {'module_h': 3} ; {'epochs': 3} ; {'module__hidden': 3} ; {'nonsense': 1} ;
{'module__hidden_sizes': 8} ; {'module__hidden_sizes': (0,)} ; {'module__hidden_sizes': (-1,)} ;
{'module__hidden_sizes': 'ab'} ; {'module__hidden_sizes': None} ; {'module__hidden_sizes': (2.5,)} ;
{'optimizer__nonsense': 1} ; {'optimizer__weight_decay': -1} ; {'optimizer__weight_decay': 'a'} ;
{'criterion': nn.NLLLoss} ; {'criterion__label_smoothing': 0.1} ; {'dataset__x': 1} ; {'classes': [0, 1]} ;
{'predict_nonlinearity': None} ; {'iterator_train__nonsense': 1} ; {'iterator_train__num_workers': -1} ;
{'iterator_train__sampler': 3} ; {'iterator_train__shuffle': 'yes'} ; {'iterator_valid__shuffle': True} ;
{'iterator_valid__drop_last': True} ; {'iterator_train__batch_size': 0} ;
{'iterator_train__batch_size': 'a'} ; {'callbacks__nonsense': None} ; {'callbacks__nonsense__x': 1} ;
{'callbacks__print_log__nonsense': 1} ; {'module__n_classes': 2} ; {'module__n_features_in': 9} ;
{'lr_': 0.1} ; {'module__': 1} ; {'__x': 1} ; {'optimizer__param_groups': [('*', {'lr': 0.1})]} ;
{'optimizer__param_groups': 3} ; {'compile__mode': 'fast'} ; {'torch_load_kwargs': 3} ;
{'teacher__lr': 0.1} ; {'smoothing__epsilon': 0.1} ; {'temperature': 2.0} ; {'module__bias': True} ;
{'iterator_valid__collate_fn': raises} ; {'n_jobs': 2} ; {'early_stopping': True} ;
{'hidden_layer_sizes': (3,)} ; {'label_smoothing': 0.1} ; {'iterator_train__pin_memory': True}
""")
MODULES = options("""
None ; Net ; Net() ; BatchNormNet ; nn.Linear(4, 3) ; nn.Sequential(nn.Flatten(), nn.Linear(4, 3)) ; Lazy ;
Net(p=0.5) ; Net(after=lambda z: (z, 1)) ; Net(after=lambda z: z.log_softmax(1)) ; NoParameters ; Tokens ;
nn.Linear(4, 3).eval() ; Net().double() ; SkorchNames ; lambda n_classes: nn.LazyLinear(n_classes) ;
nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3)) ;
nn.Sequential(nn.LazyLinear(3)) ; nn.Sequential(nn.Linear(4, 3).requires_grad_(False), nn.Linear(3, 3)) ;
Net(after=lambda z: z.double())
""")
ODD_MODULES = options("""
3 ; 'mlp' ; nn ; nn.Linear ; raises ; Net(after=raises) ; Net(before=raises) ; Wanting ; nn.Module ;
nn.Module() ; Net(after=lambda z: z.softmax(1)) ; Net(after=torch.sigmoid) ;
Net(after=lambda z: {'logits': z}) ; Net(after=lambda z: [z]) ; Net(after=lambda z: None) ;
Net(after=lambda z: z[:, :2]) ; Net(n_classes=4) ; Net(n_classes=1) ; Net(after=lambda z: z[:, :, None]) ;
Net(after=lambda z: z.ravel()) ; Net(after=torch.mean) ; Net(after=lambda z: z * torch.nan) ;
Net(after=lambda z: z / 0) ; Net(after=lambda z: z[1:]) ; Net(after=lambda z: torch.cat([z, z])) ;
Net(after=lambda z: z.detach()) ; Net(after=lambda z: z.argmax(1)) ; Net(after=lambda z: z.long()) ;
Net(after=lambda z: z + 1j) ; Net(after=lambda z: z.detach().numpy()) ; Net(n_features_in=9) ;
EvalOnly(after=lambda z: z * torch.nan) ; EvalOnly(after=lambda z: z[1:]) ;
EvalOnly(after=lambda z: z[:, :2]) ; EvalOnly(after=raises) ; EvalOnly(after=lambda z: z / 0) ;
Net(before=in_place) ; EvalOnly(after=lambda z: torch.cat([z, z])) ; Net(after=lambda z: z.half()) ;
Net(after=lambda z: z.bfloat16()) ; nn.Linear(4, 3).to('meta') ; nn.Embedding(10, 3) ; nn.Conv2d(1, 3, 2) ;
nn.LSTM(4, 3) ; nn.RNN(4, 3) ; nn.Softmax(dim=1) ; Net(after=lambda z: (1, z)) ; Net(after=lambda z: ()) ;
Net(after=lambda z: z.to_sparse()) ; lambda: None ; lambda n_classes: 3 ; nn.Linear(4, 3).half() ; dict ;
Net(after=lambda z: z * 1e30) ; EvalOnly(after=lambda z: z.softmax(1)) ; torch.jit.script(nn.Linear(4, 3)) ;
nn.Sequential() ; nn.Identity() ; [nn.Linear(4, 3)] ; TeacherClassifier ; Net(after=lambda z: iter([z]))
""")
RULES = options("""
'ils2' ; 'none' ; 'uniform' ; 'ils1' ; 'ils' ; 'class' ; 'distillation' ; 'bootstrap' ;
smoothing.ILS2(epsilon=0.3) ; smoothing.ILS(shift=0.9) ; smoothing.ILS1(max_epsilon=0.0) ;
smoothing.ClassSmoothing() ;
smoothing.SelfDistillation(weight=1) ;
smoothing.SoftBootstrap(beta=0.5) ; OwnRule() ; OwnRule(needs_teacher=True) ; OwnRule(needs_student=True) ;
smoothing.UniformSmoothing(0.0) ; smoothing.ILS2(temperature=1e6) ; smoothing.ILS2(temperature=1e-6)
""")
ODD_RULES = options("""
'ls' ; 'LS' ; 'label_smoothing' ; '' ; 'ILS2' ; 0.1 ; None ; 3 ; smoothing.ILS2 ;
smoothing.SmoothingRule() ; raises ; 'kd' ; 'hard' ; [0.1] ; {} ; smoothing.ILS2(epsilon=1.0) ;
smoothing.ILS2(epsilon=-0.1) ; smoothing.ILS2(epsilon='a') ; smoothing.ILS2(epsilon=None) ;
smoothing.ILS2(epsilon=np.nan) ; smoothing.ILS2(temperature=0) ; smoothing.ILS2(temperature=np.inf) ;
smoothing.ILS2(temperature=1e39) ; smoothing.ILS2(temperature=1e-46) ; smoothing.ILS(shift=2) ;
smoothing.ILS1(curvature=np.inf) ; smoothing.ILS1(curvature=1e39) ;
smoothing.SelfDistillation(temperature=1e-46) ; smoothing.SoftBootstrap(beta=0) ;
smoothing.SelfDistillation(weight=True) ; OwnRule(targets=raises) ; OwnRule(targets=lambda y, z: None) ;
OwnRule(targets=lambda y, z: z) ; OwnRule(targets=lambda y, z: z[:1]) ;
OwnRule(targets=lambda y, z: z * np.nan) ; OwnRule(targets=lambda y, z: 'abc') ;
OwnRule(targets=lambda y, z: np.eye(3)[y].astype(str)) ;
OwnRule(targets=lambda y, z: np.eye(3)[y].tolist()) ; OwnRule(targets=lambda y, z: -np.eye(3)[y]) ;
OwnRule(targets=lambda y, z: torch.eye(3)[y]) ; OwnRule(targets=lambda y, z: np.eye(3)[y] + 1j) ;
OwnRule(needs_teacher=True, needs_student=True) ; OwnRule(needs_student=True, targets=raises) ;
OwnRule(needs_teacher='yes') ; OwnRule(targets=lambda y: y) ;
OwnRule(targets=lambda y, z: np.eye(3)[y].astype(object)) ;
OwnRule(needs_student=True, targets=lambda y, z: z * np.nan) ;
OwnRule(targets=lambda y, z: np.eye(3, dtype=int)[y]) ; smoothing.UniformSmoothing(np.float32(0.1)) ;
smoothing.UniformSmoothing(torch.tensor(0.1))
""")
TEACHERS = options("""
None ; None ; TeacherClassifier(max_epochs=1) ; linear_model.LogisticRegression() ; Stub() ;
tree.DecisionTreeClassifier() ; naive_bayes.GaussianNB() ;
Stub(proba=rows([0.2, 0.3, 0.5])) ; FrozenEstimator(linear_model.LogisticRegression().fit(X, y)) ;
ensemble.RandomForestClassifier(3) ; FrozenEstimator(TeacherClassifier(max_epochs=1).fit(X, y)) ;
InstanceSmoothedClassifier(max_epochs=1) ;
pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()) ;
neighbors.KNeighborsClassifier(3) ; dummy.DummyClassifier()
""")
ODD_TEACHERS = options("""
3 ; 'logistic' ; linear_model.LogisticRegression ; svm.SVC() ;
linear_model.LinearRegression() ; FrozenEstimator(linear_model.LogisticRegression()) ;
FrozenEstimator(TeacherClassifier()) ; nn.Linear(4, 3) ;
FrozenEstimator(linear_model.LogisticRegression().fit(X, y > 0)) ; Stub(fitting=raises) ;
Stub(proba=raises) ; FrozenEstimator(linear_model.LogisticRegression().fit(X[:, :2], y)) ;
Stub(proba=rows(np.nan)) ; FrozenEstimator(linear_model.LogisticRegression().fit(X, NAMES[y])) ;
Stub(proba=rows([0.5], 1)) ; Stub(proba=rows([1.0, 2.0, 3.0])) ; Stub(proba=rows([0.0, 0.0, 0.0])) ;
Stub(proba=rows([0.5, 0.5])) ; Stub(proba=rows([-1.0, 1.0, 1.0])) ; Stub(proba=rows([0.25] * 4)) ;
Stub(proba=lambda X: None) ; Stub(proba=lambda X: 'abc') ; Stub(proba=lambda X: np.full(len(X), 0.5)) ;
Stub(proba=lambda X: np.full((1, 3), 1 / 3)) ; Stub(proba=lambda X: np.full((len(X), 3, 1), 1 / 3)) ;
Stub(proba=rows(np.inf)) ; Stub(classes=[0, 1]) ; Stub(classes=['a', 'b', 'c']) ; Stub(classes=[2, 1, 0]) ;
Stub(classes=[0, 1, 2, 3]) ; Stub(classes=[5, 6, 7]) ;
Stub(proba=lambda X: torch.full((len(X), 3), 1 / 3)) ;
Stub(proba=lambda X: pd.DataFrame(np.full((len(X), 3), 1 / 3))) ;
Stub(proba=lambda X: np.full((len(X), 3), 1 / 3).tolist()) ;
Stub(proba=lambda X: np.full((len(X), 3), '0.3')) ;
Stub(proba=lambda X: pd.DataFrame(np.full((len(X), 3), 1 / 3), columns=[2, 1, 0])) ;
Stub(proba=rows([True, False, False])) ;
Stub(proba=lambda X: sparse.csr_matrix(np.full((len(X), 3), 1 / 3))) ; TeacherClassifier(max_epochs=-1) ;
TeacherClassifier(lr=1e30) ; TeacherClassifier(module=Net(after=raises)) ;
Stub(proba=rows([0.3, 0.3, 0.3])) ; linear_model.LogisticRegression(C=-1) ;
multioutput.MultiOutputClassifier(Stub()) ; cluster.KMeans(2) ; TeacherClassifier ;
Stub(classes=None, proba=np.full((3, 3), 1 / 3)) ;
model_selection.GridSearchCV(linear_model.LogisticRegression(), {'C': [-1]}) ;
Stub(classes=3) ; ensemble.RandomForestClassifier(0) ;
Stub(fitting=lambda X, y: X.__setitem__((0, 0), 9))
""")
PROBAS = options("""
None ; PROBA ; PROBA.astype(np.float32) ; PROBA.tolist() ; frame(PROBA, 'abc') ; np.eye(3)[y] ;
torch.tensor(PROBA) ; np.full((N, 3), 1 / 3) ; np.eye(3, dtype=int)[y] ; readonly(PROBA) ;
pd.DataFrame(PROBA, columns=[0, 1, 2])
""")
ODD_PROBAS = options("""
PROBA[:-1] ; PROBA[:, :2] ; PROBA * 2 ; -PROBA ; put(PROBA, np.nan) ; put(PROBA, np.inf) ; X[:, :3] ;
PROBA.astype(str) ; PROBA + 1j ; 'abc' ; 3 ; PROBA[:, 0] ; PROBA[..., None] ; PROBA.astype(object) ; [] ;
pd.DataFrame(PROBA, columns=[2, 1, 0]) ; pd.DataFrame(PROBA, columns=list('xyz')) ; np.zeros((N, 3)) ;
sparse.csr_matrix(PROBA) ; {'a': PROBA} ; PROBA > 0.5 ; torch.tensor(PROBA, requires_grad=True) ;
PROBA.round(2) ; put(PROBA.astype(object), None) ; pd.DataFrame(PROBA).astype('Float64') ;
torch.tensor(PROBA).bfloat16() ; raises ; PROBA.astype(np.longdouble) ; PROBA.T
""")
STUDENT = {
    "smoothing": choice(
        """
'ils2' ; 'none' ; 'uniform' ; 'ils1' ; 'ils' ; 'class' ; 'distillation' ; 'bootstrap' ;
smoothing.ILS2(epsilon=0.3) ; smoothing.ILS(shift=0.9) ; smoothing.ILS1(max_epsilon=0.0) ;
smoothing.ClassSmoothing() ;
smoothing.SelfDistillation(weight=1) ;
smoothing.SoftBootstrap(beta=0.5) ; OwnRule() ; OwnRule(needs_teacher=True) ; OwnRule(needs_student=True) ;
smoothing.UniformSmoothing(0.0) ; smoothing.ILS2(temperature=1e6) ; smoothing.ILS2(temperature=1e-6)
""",
        """
'ls' ; 'LS' ; 'label_smoothing' ; '' ; 'ILS2' ; 0.1 ; None ; 3 ; smoothing.ILS2 ;
smoothing.SmoothingRule() ; raises ; 'kd' ; 'hard' ; [0.1] ; {} ; smoothing.ILS2(epsilon=1.0) ;
smoothing.ILS2(epsilon=-0.1) ; smoothing.ILS2(epsilon='a') ; smoothing.ILS2(epsilon=None) ;
smoothing.ILS2(epsilon=np.nan) ; smoothing.ILS2(temperature=0) ; smoothing.ILS2(temperature=np.inf) ;
smoothing.ILS2(temperature=1e39) ; smoothing.ILS2(temperature=1e-46) ; smoothing.ILS(shift=2) ;
smoothing.ILS1(curvature=np.inf) ; smoothing.ILS1(curvature=1e39) ;
smoothing.SelfDistillation(temperature=1e-46) ; smoothing.SoftBootstrap(beta=0) ;
smoothing.SelfDistillation(weight=True) ; OwnRule(targets=raises) ; OwnRule(targets=lambda y, z: None) ;
OwnRule(targets=lambda y, z: z) ; OwnRule(targets=lambda y, z: z[:1]) ;
OwnRule(targets=lambda y, z: z * np.nan) ; OwnRule(targets=lambda y, z: 'abc') ;
OwnRule(targets=lambda y, z: np.eye(3)[y].astype(str)) ;
OwnRule(targets=lambda y, z: np.eye(3)[y].tolist()) ; OwnRule(targets=lambda y, z: -np.eye(3)[y]) ;
OwnRule(targets=lambda y, z: torch.eye(3)[y]) ; OwnRule(targets=lambda y, z: np.eye(3)[y] + 1j) ;
OwnRule(needs_teacher=True, needs_student=True) ; OwnRule(needs_student=True, targets=raises) ;
OwnRule(needs_teacher='yes') ; OwnRule(targets=lambda y: y) ;
OwnRule(targets=lambda y, z: np.eye(3)[y].astype(object)) ;
OwnRule(needs_student=True, targets=lambda y, z: z * np.nan) ;
OwnRule(targets=lambda y, z: np.eye(3, dtype=int)[y]) ; smoothing.UniformSmoothing(np.float32(0.1)) ;
smoothing.UniformSmoothing(torch.tensor(0.1))
""",
    ),
    "teacher": choice(
        """
None ; None ; TeacherClassifier(max_epochs=1) ; linear_model.LogisticRegression() ; Stub() ;
tree.DecisionTreeClassifier() ; naive_bayes.GaussianNB() ;
Stub(proba=rows([0.2, 0.3, 0.5])) ; FrozenEstimator(linear_model.LogisticRegression().fit(X, y)) ;
ensemble.RandomForestClassifier(3) ; FrozenEstimator(TeacherClassifier(max_epochs=1).fit(X, y)) ;
InstanceSmoothedClassifier(max_epochs=1) ;
pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()) ;
neighbors.KNeighborsClassifier(3) ; dummy.DummyClassifier()
""",
        """
3 ; 'logistic' ; linear_model.LogisticRegression ; svm.SVC() ;
linear_model.LinearRegression() ; FrozenEstimator(linear_model.LogisticRegression()) ;
FrozenEstimator(TeacherClassifier()) ; nn.Linear(4, 3) ;
FrozenEstimator(linear_model.LogisticRegression().fit(X, y > 0)) ; Stub(fitting=raises) ;
Stub(proba=raises) ; FrozenEstimator(linear_model.LogisticRegression().fit(X[:, :2], y)) ;
Stub(proba=rows(np.nan)) ; FrozenEstimator(linear_model.LogisticRegression().fit(X, NAMES[y])) ;
Stub(proba=rows([0.5], 1)) ; Stub(proba=rows([1.0, 2.0, 3.0])) ; Stub(proba=rows([0.0, 0.0, 0.0])) ;
Stub(proba=rows([0.5, 0.5])) ; Stub(proba=rows([-1.0, 1.0, 1.0])) ; Stub(proba=rows([0.25] * 4)) ;
Stub(proba=lambda X: None) ; Stub(proba=lambda X: 'abc') ; Stub(proba=lambda X: np.full(len(X), 0.5)) ;
Stub(proba=lambda X: np.full((1, 3), 1 / 3)) ; Stub(proba=lambda X: np.full((len(X), 3, 1), 1 / 3)) ;
Stub(proba=rows(np.inf)) ; Stub(classes=[0, 1]) ; Stub(classes=['a', 'b', 'c']) ; Stub(classes=[2, 1, 0]) ;
Stub(classes=[0, 1, 2, 3]) ; Stub(classes=[5, 6, 7]) ;
Stub(proba=lambda X: torch.full((len(X), 3), 1 / 3)) ;
Stub(proba=lambda X: pd.DataFrame(np.full((len(X), 3), 1 / 3))) ;
Stub(proba=lambda X: np.full((len(X), 3), 1 / 3).tolist()) ;
Stub(proba=lambda X: np.full((len(X), 3), '0.3')) ;
Stub(proba=lambda X: pd.DataFrame(np.full((len(X), 3), 1 / 3), columns=[2, 1, 0])) ;
Stub(proba=rows([True, False, False])) ;
Stub(proba=lambda X: sparse.csr_matrix(np.full((len(X), 3), 1 / 3))) ; TeacherClassifier(max_epochs=-1) ;
TeacherClassifier(lr=1e30) ; TeacherClassifier(module=Net(after=raises)) ;
Stub(proba=rows([0.3, 0.3, 0.3])) ; linear_model.LogisticRegression(C=-1) ;
multioutput.MultiOutputClassifier(Stub()) ; cluster.KMeans(2) ; TeacherClassifier ;
Stub(classes=None, proba=np.full((3, 3), 1 / 3)) ;
model_selection.GridSearchCV(linear_model.LogisticRegression(), {'C': [-1]}) ;
Stub(classes=3) ; ensemble.RandomForestClassifier(0) ;
Stub(fitting=lambda X, y: X.__setitem__((0, 0), 9))
""",
    ),
    "teacher_mode": choice(
        """
'cached' ; 'cached' ; 'online'
""",
        """
'batch' ; None ; 3 ; True
""",
    ),
    "teacher_cv": choice(
        """
None ; None ; None ; 2 ; 3
""",
        """
0 ; 1 ; -1 ; 2.0 ; '3' ; 99 ; True ; model_selection.KFold(2)
""",
    ),
    "memory": choice(
        """
None ; None ; tempfile.mkdtemp() ; joblib.Memory(None)
""",
        """
3 ; '/proc/nowhere' ; True ; [] ; object()
""",
    ),
}
DATASETS = options("""
Pairs(X, y) ; torch.utils.data.TensorDataset(torch.tensor(X).float(), torch.tensor(y)) ;
torch.utils.data.Subset(Pairs(X, y), range(0, N, 2)) ; Pairs(X, y, targets=y) ;
Pairs(X, y, targets=y.tolist()) ; skorch.dataset.Dataset(X.astype(np.float32), y) ;
Pairs(X, NAMES[y], lambda x, t: (torch.tensor(x).float(), str(t))) ;
Pairs(X, y, lambda x, t: (x.astype(np.float32), t)) ;
Pairs(X, y, lambda x, t: (torch.tensor(x).float(), torch.tensor(t))) ;
torch.utils.data.ConcatDataset([Pairs(X, y), Pairs(X, y)]) ; Pairs(X, y, targets=torch.tensor(y)) ;
torch.utils.data.Subset(Pairs(X, y, targets=y), range(0, N, 2)) ;
Pairs(X, y, lambda x, t: [torch.tensor(x).float(), int(t)])
""")
ODD_DATASETS = options("""
Stream() ; Pairs(X[:0], y[:0]) ; Pairs(X, y, lambda x, t: torch.tensor(x)) ; Pairs(X, y, raises) ;
Pairs(X, y, lambda x, t: (x, t)) ; Pairs(X, y, lambda x, t: (torch.tensor(x), int(t))) ;
Pairs(X, y, targets=y[:-1]) ; Pairs(X, y, lambda x, t: (x, t, t)) ;
Pairs(X, y, lambda x, t: {'x': x, 'y': t}) ; Pairs(X, y, targets=(y + 1) % 3) ; Pairs(put(X, np.nan), y) ;
Pairs(X, y, lambda x, t: (None, t)) ; Pairs(X, y, lambda x, t: ('abc', t)) ;
Pairs(X, y, lambda x, t: (torch.tensor(x).float(), None)) ;
Pairs(X, y, lambda x, t: (torch.tensor(x).float(), [t])) ;
Pairs(X, y, lambda x, t: (torch.tensor(x).float(), np.eye(3)[t])) ;
Pairs(X, y, lambda x, t: (x.tolist(), t)) ; Pairs(X, y, lambda x, t: (torch.zeros(int(t) + 1), t)) ;
Pairs(X, y, length=2 * N) ; Pairs(X, y, length=-1) ;
Pairs(X, y, lambda x, t: (torch.tensor(x).half(), int(t))) ;
Pairs(X, y, lambda x, t: (torch.tensor(x).long(), int(t))) ;
Pairs(X, y, lambda x, t: ({'X': torch.tensor(x).float()}, int(t))) ;
Pairs(X, y, lambda x, t: (torch.tensor(x[0]), t)) ; torch.utils.data.Subset(Pairs(X, y), []) ;
torch.utils.data.Subset(Pairs(X, y), [99]) ; torch.utils.data.Dataset() ;
Pairs(X, y, lambda x, t: (torch.tensor(x).float(), float('nan'))) ; Pairs(X, y, targets=raises) ;
Pairs(X, y, targets=3) ; torch.utils.data.TensorDataset(torch.tensor(X).float()) ;
Pairs(X, y, lambda x, t: (frame(x[None]), t)) ;
torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y)) ; Pairs(X, y, length=2.5) ;
Pairs(X, y, targets=X) ; Pairs(X, y, lambda x, t: (torch.tensor(x, requires_grad=True).float(), int(t))) ;
Pairs(X, y, targets=NAMES[y]) ; torch.utils.data.TensorDataset(torch.tensor(X).float(), torch.eye(3)[y])
""")
GRIDS = options("""
{'smoothing': ['none', 'ils2']} ; {'smoothing__epsilon': [0.1, 0.2]} ;
{'smoothing': ['uniform'], 'smoothing__epsilon': [0.1]} ; {'lr': [0.01, 0.1]} ;
[{'smoothing': ['none']}, {'smoothing': ['ils'], 'smoothing__shift': [0.7, 1.0]}] ;
{'smoothing': ['distillation', 'bootstrap', 'ils1']} ; {'smoothing': [OwnRule()]} ; {'max_epochs': [1, 2]} ;
{'smoothing': ['ils2'], 'patience': [1, None]} ; {'teacher': [None, naive_bayes.GaussianNB()]} ;
{} ; {'random_state': [0, 1]} ; {'batch_size': [8, 16]} ; {'module__hidden_sizes': [(4,), (8,)]} ;
{'smoothing': ['ils2'], 'teacher_mode': ['cached', 'online']}
""")
ODD_GRIDS = options("""
3 ; 'abc' ; [] ; {'smoothing': 'none'} ; {'smoothing': []} ; {'smoothing': ['ls']} ; {'nonsense': [1]} ;
{'smoothing__nonsense': [1]} ; {'smoothing__epsilon': [2.0]} ; {'smoothing__epsilon': ['a', 0.1]} ; [3] ;
{'smoothing': [0.1]} ; {'smoothing': ['none'], 'smoothing__epsilon': [0.1]} ; {3: [1]} ;
{'lr': [1e30, 0.01]} ; {'lr': 0.1} ; {'lr': ['a']} ; {'module': [Net(after=raises), Net]} ;
{'smoothing': [None]} ; {'lr': None} ; {'smoothing': {'none', 'ils2'}} ;
{'smoothing': np.array(['none', 'ils2'])} ; {'smoothing__epsilon': np.array([0.1])} ; {'teacher': [3]} ;
{'smoothing': iter(['none'])} ; {'criterion__x': [1]} ; {'teacher__lr': [1]} ; {'smoothing': [raises]} ;
{'max_epochs': [-1, 1]} ; {'smoothing': [OwnRule(targets=raises), 'none']} ; {'smoothing': [['none']]} ;
[[]] ; [{}, {}] ; {'smoothing__temperature': [1e39]} ;
{'callbacks': [[HostileCallback('on_epoch_end')], None]} ; {'device': ['cuda']} ; ({'lr': [0.1]},) ;
OrderedDict(lr=[0.1]) ; pd.Series([1]) ; {'clf__lr': [0.1]} ; {'smoothing': [np.nan]}
""")
CVS = options("""
2 ; model_selection.KFold(2) ; model_selection.StratifiedKFold(2, shuffle=True, random_state=0) ;
[(np.arange(30), np.arange(30, N))] ;
model_selection.ShuffleSplit(1, test_size=0.3, random_state=0) ;
[(np.arange(N) < 30, np.arange(N) >= 30)]
""")
ODD_CVS = options("""
1 ; 0 ; -1 ; 99 ; 2.0 ; '5' ; None ; [] ; [([], [1])] ; [([0, 1, 2], [])] ; [(range(30), [99])] ; 3.5 ;
[(1, 2)] ; model_selection.GroupKFold(2) ; model_selection.LeaveOneGroupOut() ; iter([]) ;
{} ; model_selection.KFold ; [3] ; [(range(30), [30.5])] ; raises ; True ;
[(np.arange(30), np.arange(30, N), 1)] ; [(np.flatnonzero(y == 0), np.flatnonzero(y == 1))] ; [('a', 'b')] ;
model_selection.LeavePOut(39) ; model_selection.PredefinedSplit(np.full(N, -1)) ;
[(np.arange(5), np.arange(5, N))] ; (x for x in [])
""")
SCORINGS = options("""
None ; 'accuracy' ; 'neg_log_loss' ; metrics.CalibrationScorer() ; metrics.calibration_scoring() ;
['accuracy', 'neg_log_loss'] ; metrics.neg_expected_calibration_error_scorer ; lambda e, X, y: 0.5 ;
lambda e, X, y: {'accuracy': 0.5, 'b': 1.0} ; {'accuracy': 'accuracy'} ; ('accuracy', 'f1_macro')
""")
ODD_SCORINGS = options("""
'nonsense' ; 3 ; [] ; {} ; raises ; lambda e, X, y: None ; lambda e, X, y: 'abc' ; lambda e, X, y: np.nan ;
lambda e, X, y: {} ; lambda e: 1 ; ['accuracy', 'accuracy'] ; {'a': 3} ; 'roc_auc' ; 'r2' ; {'accuracy'} ;
metrics.expected_calibration_error ; lambda e, X, y: np.inf ; lambda e, X, y: np.ones(3) ; [3] ; True ;
lambda e, X, y: {'accuracy': 'x'} ; lambda e, X, y: [0.5] ; metrics.CalibrationScorer(n_bins=0) ; '' ;
lambda e, X, y: {'accuracy': np.nan} ; metrics.CalibrationScorer ; 'f1' ; ['nonsense'] ; {3: 'accuracy'}
""")
REFITS = options("""
True ; 'accuracy' ; False ; lambda results: 0
""")
ODD_REFITS = options("""
'nonsense' ; 3 ; None ; raises ; lambda results: 99 ; lambda results: 'a' ; lambda results: -5 ;
lambda r: 0.5
""")
BASES = options("""
InstanceSmoothedClassifier(**SMALL) ;
pipeline.make_pipeline(preprocessing.StandardScaler(), InstanceSmoothedClassifier(**SMALL)) ;
pipeline.Pipeline([('clf', InstanceSmoothedClassifier(**SMALL))]) ;
InstanceSmoothedClassifier(**SMALL, module=Net(p=0.2)) ;
InstanceSmoothedClassifier(**SMALL, smoothing=OwnRule())
""")
ODD_BASES = options("""
TeacherClassifier(**SMALL) ; 3 ; None ; InstanceSmoothedClassifier ;
linear_model.LogisticRegression() ;
pipeline.make_pipeline(preprocessing.StandardScaler()) ; pipeline.Pipeline([]) ;
'clf' ; InstanceSmoothedClassifier(**SMALL, module=Net(after=raises)) ;
InstanceSmoothedClassifier(**SMALL, lr='a') ;
pipeline.make_pipeline(Stub(), InstanceSmoothedClassifier(**SMALL)) ;
InstanceSmoothedClassifier(**SMALL, callbacks=3) ;
pipeline.make_pipeline(preprocessing.FunctionTransformer(raises), InstanceSmoothedClassifier(**SMALL)) ;
InstanceSmoothedClassifier(**SMALL, module=Net(after=lambda z: z * torch.nan)) ;
InstanceSmoothedClassifier(**SMALL, nonsense=1) ;
calibration.CalibratedClassifierCV(InstanceSmoothedClassifier(**SMALL)) ;
InstanceSmoothedClassifier(**SMALL, teacher=3) ;
pipeline.make_pipeline('passthrough', InstanceSmoothedClassifier(**SMALL)) ;
InstanceSmoothedClassifier(**SMALL).fit(X, y)
""")
LOGITS = options("""
X[:, :3] ; X[:, :3].astype(np.float32) ; X[:, :3].tolist() ; np.zeros((N, 3)) ; X[:, :3] * 1e3 ;
X[:, :3] * 1e10 ; (X[:, :3] * 9).astype(int) ; torch.tensor(X[:, :3]) ; readonly(X[:, :3]) ;
frame(X[:, :3], 'abc') ; X[:, :3] * 1e-10 ; X[:, :3].astype(np.float16) ; np.log(PROBA) ;
np.asfortranarray(X[:, :3])
""")
ODD_LOGITS = options("""
None ; X[:, 0] ; X[:, :1] ; X[:0, :3] ; put(X[:, :3], np.nan) ; put(X[:, :3], np.inf) ;
put(X[:, :3], -np.inf) ; 'abc' ; X[:, :3].astype(str) ; X[:, :3] + 1j ; X[:5, :3] ; X[:, :3, None] ; 3.0 ;
X[:, :3] * 1e38 ; X[:, :3] * 1e300 ; [] ; X[:, :3].astype(object) ; {'a': 1} ;
torch.tensor(X[:, :3], requires_grad=True) ; torch.tensor(X[:, :3]).bfloat16() ; np.full((N, 3), -np.inf) ;
np.full((N, 3), 1e308) ; put(X[:, :3], 1e308) ; X[:, :3] > 0 ; sparse.csr_matrix(X) ; X[:, :2] ;
put(X[:, :3].astype(object), None) ; raises ; X[:, :3].astype(np.longdouble) ;
np.ma.masked_array(X[:, :3], mask=X[:, :3] > 1)
""")
CODES = options("""
y ; y.tolist() ; y.astype(np.int8) ; y.astype(np.uint8) ; readonly(y) ; torch.tensor(y) ; pd.Series(y) ;
pd.Series(y, index=np.roll(np.arange(N), 3))
""")
ODD_CODES = options("""
None ; y[:-1] ; np.repeat(y, 2) ; np.zeros(N, int) ; [] ; put(y.astype(float), np.nan) ;
put(y.astype(float), np.inf) ; y + 0.5 ; X[:, 0] ; put(y.astype(object), None) ;
put(y.astype(object), 'a') ; put(y.astype(object), pd.NA) ; put(y.astype(object), pd.NaT) ; np.eye(3)[y] ;
np.eye(3, dtype=int)[y] ; np.stack([y, y], axis=1) ; objects([(v, v) for v in y]) ;
objects([[v] for v in y]) ; [list('ab')] * N ; objects([list(Color)[v] for v in y]) ;
[list(Color)[v] for v in y] ; y.astype('datetime64[s]') ; y + 1j ; pd.Series(y.astype('datetime64[s]')) ;
3 ; 'abc' ; {'y': y} ; set(y) ; iter(y) ; Color ; np.arange(N) ;
put(pd.Series(y, dtype='Int64').to_numpy(dtype=object), pd.NA) ; pd.Series(y).astype('Int64').where(y > 0) ;
pd.Series(NAMES[y]).where(y > 0) ; pd.Series(NAMES[y], dtype='category').where(y > 0) ; objects([{}] * N) ;
objects([nn.Linear] * N) ; torch.eye(3)[y] ; torch.tensor(y) + 1j ;
torch.tensor(put(y.astype(float), np.nan)) ; objects([b'a', 'b'] * (N // 2)) ;
objects([True, 'b'] * (N // 2)) ; objects([1, 2.5] * (N // 2)) ; sparse.csr_matrix(np.eye(3)[y]) ;
sparse.csr_matrix(y) ; range(N) ; NAMES[y][:, None, None] ; y * 1e300 ;
objects([pd.Timestamp('2020-01-01'), pd.Timestamp('2021-01-01')] * (N // 2)) ; y.astype('timedelta64[s]') ;
objects([frozenset([v]) for v in y]) ; X ; object() ; pd.Series(dtype=int) ; lambda: y ; nn.Linear(2, 2) ;
torch.empty(N, device='meta') ; objects([float('nan'), 'a'] * (N // 2)) ; pd.interval_range(0, N) ; y - 1 ;
y + 1 ; y + 7 ; y > 0 ; y.astype(float) ; NAMES[y] ; y.astype(object) ; y - 10**10 ; y[:, None]
""")
TEMPERATURES = options("""
1.0 ; 2 ; 0.5 ; 1e-3 ; 1e3 ; 1e6 ; 1e-6 ; np.float32(2) ; 1e30 ; 1e-30
""")
ODD_TEMPERATURES = options("""
0 ; -1.0 ; np.inf ; np.nan ; 1e39 ; 1e-46 ; 1e300 ; 1e-300 ; 5e-324 ; None ; 'a' ; [1.0] ; True ; 1j ;
np.ones(N) ; np.array(2.0) ; torch.tensor(2.0)
""")
RULE_KINDS = {
    "NoSmoothing": {},
    "UniformSmoothing": {
        "epsilon": choice(
            """
0.1 ; 0 ; 0.99
""",
            """
1 ; -0.1 ; 'a' ; None ; np.nan ; True ; [0.1]
""",
        ),
    },
    "ILS1": {
        "shift": choice(
            """
0.8 ; 0 ; 1
""",
            """
1.1 ; -1 ; np.nan ; 'a' ; None
""",
        ),
        "curvature": choice(
            """
2.0 ; 0 ; 1e30
""",
            """
-1 ; np.inf ; 1e39 ; 1e300 ; np.nan ; 'a'
""",
        ),
        "max_epsilon": choice(
            """
0.2 ; 0 ; 0.99
""",
            """
1 ; -1 ; np.nan ; None
""",
        ),
    },
    "ILS2": {
        "epsilon": choice(
            """
0.1 ; 0 ; 0.99
""",
            """
1 ; np.nan
""",
        ),
        "temperature": choice(
            """
1.0 ; 2 ; 0.5 ; 1e-3 ; 1e3 ; 1e6 ; 1e-6 ; np.float32(2) ; 1e30 ; 1e-30
""",
            """
0 ; -1.0 ; np.inf ; np.nan ; 1e39 ; 1e-46 ; 1e300 ; 1e-300 ; 5e-324 ; None ; 'a' ; [1.0] ; True ; 1j ;
np.ones(N) ; np.array(2.0) ; torch.tensor(2.0)
""",
        ),
    },
    "ILS": {
        "shift": choice(
            """
0.8 ; 1
""",
            """
2
""",
        ),
        "temperature": choice(
            """
1.0 ; 2 ; 0.5 ; 1e-3 ; 1e3 ; 1e6 ; 1e-6 ; np.float32(2) ; 1e30 ; 1e-30
""",
            """
0 ; -1.0 ; np.inf ; np.nan ; 1e39 ; 1e-46 ; 1e300 ; 1e-300 ; 5e-324 ; None ; 'a' ; [1.0] ; True ; 1j ;
np.ones(N) ; np.array(2.0) ; torch.tensor(2.0)
""",
        ),
    },
    "SelfDistillation": {
        "weight": choice(
            """
0.5 ; 0 ; 1
""",
            """
1.1 ; -1 ; np.nan ; 'a'
""",
        ),
        "temperature": choice(
            """
1.0 ; 2 ; 0.5 ; 1e-3 ; 1e3 ; 1e6 ; 1e-6 ; np.float32(2) ; 1e30 ; 1e-30
""",
            """
0 ; -1.0 ; np.inf ; np.nan ; 1e39 ; 1e-46 ; 1e300 ; 1e-300 ; 5e-324 ; None ; 'a' ; [1.0] ; True ; 1j ;
np.ones(N) ; np.array(2.0) ; torch.tensor(2.0)
""",
        ),
    },
    "ClassSmoothing": {
        "epsilon": choice(
            """
0.1 ; 0 ; 0.99
""",
            """
1 ; -0.1 ; np.nan ; None
""",
        ),
    },
    "SoftBootstrap": {
        "beta": choice(
            """
0.95 ; 1 ; 1e-9
""",
            """
0 ; 1.1 ; np.nan ; None
""",
        ),
    },
}
TRUE = options("""
y ; NAMES[y] ; y.tolist() ; pd.Series(y) ; pd.Series(NAMES[y]) ; y.astype(float) ; y - 1 ; y + 5 ;
torch.tensor(y) ; NAMES[y].astype(object) ; pd.Series(NAMES[y], dtype='category') ;
pd.Series(y, dtype='Int64') ; pd.Series(NAMES[y], dtype='string')
""")
GIVEN = options("""
PROBA ; PROBA.astype(np.float32) ; PROBA.tolist() ; frame(PROBA, 'abc') ; np.eye(3)[y] ;
torch.tensor(PROBA) ; np.full((N, 3), 1 / 3) ; np.eye(3, dtype=int)[y] ; readonly(PROBA) ;
pd.DataFrame(PROBA, columns=[0, 1, 2]) ; torch.tensor(PROBA).float() ; PROBA.astype(np.float16) ;
np.asfortranarray(PROBA) ; PROBA.round(6)
""")
LABEL_LISTS = options("""
None ; None ; None
""")
ODD_LABEL_LISTS = options("""
[0, 1, 2] ; NAMES ; [2, 1, 0] ; [0, 1] ; [0, 0, 1] ; 'abc' ; 3 ; [None, 1, 2] ; X ; {0, 1, 2} ; [5, 6, 7] ;
['0', '1', '2'] ; [0.0, 1.0, 2.0] ; [0, 1, 2, 3] ; [np.nan, 1, 2] ; [True, False, 2] ; [0, 'a', 2] ; [] ;
raises
""")
BINS = choice(
    """
15 ; 1 ; 2 ; 100 ; np.int64(5)
""",
    """
0 ; -1 ; 2.5 ; 'a' ; None ; 10**9 ; 10**12 ; True ; [5] ; np.inf
""",
)
STRATEGIES = choice(
    """
'uniform' ; 'quantile'
""",
    """
'equal' ; None ; 3 ; ''
""",
)
NORMS = choice(
    """
'l1' ; 'l2' ; 'max'
""",
    """
'l3' ; None ; 1 ; ['l1']
""",
)
TABLES_EXTRA = options("""
{} ; {'dtype': None} ; {'dtype': 'float64'} ; {'train_split': None}
""")
SCALES_SAMPLE_WEIGHT = options("""
np.ones(N) ; np.arange(N) + 1.0 ; (y > 0) + 0.5 ; rng.random(N)
""")
SCALES_SMOOTHING = options("""
'ils2' ; 'none' ; 'distillation' ; 'ils' ; 'bootstrap'
""")
PREDICTION_X_FIT = options("""
X ; frame(X) ; X.reshape(N, 2, 2) ; (X * 9).astype(int) ; Pairs(X, y)
""")
PREDICTION_METHOD = options("""
'predict_proba' ; 'predict' ; 'decision_function' ; 'score' ; 'forward' ; 'predict_log_proba'
""")
PREDICTION_EXTRA = options("""
{} ; {'dtype': None} ; {'iterator_valid__drop_last': True} ;
{'iterator_valid': torch.utils.data.DataLoader}
""")
DATASETS_EXTRA = options("""
{} ; {'dtype': None} ; {'train_split': None} ; {'smoothing': 'none'} ; {'iterator_train__drop_last': True}
""")
SEQUENCES_EXTRA = options("""
{} ; {'warm_start': True} ; {'train_split': None} ; {'module': BatchNormNet} ; {'module': Net(p=0.5)}
""")
SEARCHES_OPTIONS = choice(
    """
{} ; {'ensemble': True} ; {'ensemble': True, 'racing': False} ; {'max_parallel': 1} ;
{'return_train_score': True} ; {'error_score': 'raise'} ; {'verbose': 0}
""",
    """
{'max_parallel': 0} ; {'max_parallel': 'a'} ; {'ensemble': 'yes'} ; {'racing': None} ;
{'error_score': 'ignore'} ; {'error_score': None} ;
{'verbose': 'a'} ; {'return_train_score': 3} ; {'n_jobs': 2} ; {'max_parallel': True}
""",
)
SEARCHES_FIT_PARAMS = choice(
    """
{} ; {'sample_weight': np.ones(N)} ; {'groups': np.arange(N) // 4} ; {'teacher_proba': PROBA}
""",
    """
{'sample_weight': -np.ones(N)} ; {'sample_weight': np.ones(3)} ; {'nonsense': 3} ; {'groups': [1]} ;
{'teacher_proba': 3} ; {'sample_weight': 'a'} ; {'nonsense__x': 3} ; {'clf__sample_weight': np.ones(N)}
""",
)
SEARCHES_X = options("""
X ; frame(X) ; X.tolist() ; torch.tensor(X) ; Pairs(X, y)
""")
COMPANIONS_BASE = options("""
InstanceSmoothedClassifier(**SMALL) ; TeacherClassifier(**SMALL) ;
InstanceSmoothedClassifier(**SMALL, smoothing='none')
""")
COMPANIONS_Y = options("""
y ; NAMES[y] ; y > 0 ; pd.Series(NAMES[y]) ; (y > 0).astype(int)
""")
RULES_TRUE_CLASS_PROBA = choice(
    """
[0.0, 0.5, 1.0] ; PROBA ; np.float32(0.5) ; np.array([], float) ; [0, 1]
""",
    """
1.1 ; -0.1 ; np.nan ; 'a' ; None ; [None] ; PROBA + 1j ; torch.tensor(0.5) ; X ; raises
""",
)
ERRORS_FUNCTION = options("""
'expected_calibration_error' ; 'classwise_calibration_error'
""")
ERRORS_AVERAGE = choice(
    """
'macro' ; 'weighted' ; None
""",
    """
'micro' ; 3 ; False
""",
)
ODD_REPORTS_Y_PROBA = options("""
{} ; {3: PROBA} ; {'': PROBA} ; {'a': PROBA, 'b': PROBA, 'b - a': PROBA} ; {'a': None} ;
{'a': PROBA, 'b': PROBA[:, :2]} ; {'a': PROBA, 'b': PROBA[:-1]} ; [PROBA, PROBA] ; {'a': 'abc'}
""")
REPORTS_N_RESAMPLES = choice(
    """
20 ; 1 ; 2
""",
    """
0 ; -1 ; 1.5 ; 'a' ; None ; 10**10
""",
)
REPORTS_CONFIDENCE_LEVEL = choice(
    """
0.95 ; 0.5
""",
    """
0 ; 1 ; 95 ; -1 ; 'a' ; None ; np.nan
""",
)
REPORTS_RANDOM_STATE = choice(
    """
0 ; np.random.RandomState(0)
""",
    """
-1 ; 'a' ; 1.5 ; np.random.default_rng(0)
""",
)
SCORERS_CLASSES = choice(
    """
np.arange(3) ; NAMES ; np.arange(3) + 5 ; np.array([0.0, 1.0, 2.0]) ; NAMES.astype(object)
""",
    """
[0, 1, 2] ; np.arange(2) ; np.arange(4) ; None
""",
)
SCORERS_PROBA = options("""
PROBA ; PROBA.astype(np.float32) ; np.eye(3)[y] ; frame(PROBA, 'abc')
""")
SCORERS_Y = options("""
own ; own ; own.tolist() ; pd.Series(own) ; own[:5][y % 2]
""")
ODD_SCORERS_Y = options("""
y ; NAMES[y] ; y + 1 ; y - 1 ; y.astype(str) ; (y + 1).astype(float) ; put(own, 'zebra') ; put(own, 99)
""")
SCORERS_OPTIONS = choice(
    """
{} ; {'n_bins': 5}
""",
    """
{'n_bins': 0} ; {'n_bins': 'a'} ; {'n_bins': 10**9}
""",
)
SCORERS_SCORER = options("""
'CalibrationScorer' ; 'calibration_scoring' ; 'NegCrossEntropyScorer' ; 'ece' ; 'classwise'
""")
DISPLAYS_AX = choice(
    """
None ; None ; plt.figure().gca()
""",
    """
3 ; 'ax' ; plt.figure().subplots(2) ; plt.figure().subplots(2, 2) ; plt.figure() ; [] ;
plt.figure().subplots(1, 5) ; [None] ; np.array([])
""",
)
DISPLAYS_KWARGS = choice(
    """
{} ; {'color': 'red'} ; {'c': 'red'} ; {'lw': 3} ; {'linestyle': ':'} ; {'label': 'a'}
""",
    """
{'nonsense': 1} ; {'color': 'nonsense'} ; {'lw': 'a'} ; {'c': 'red', 'color': 'blue'} ; {'ax_': 1}
""",
)
DISPLAYS_NAME = choice(
    """
None ; 'a' ; '$' ; '$x$' ; '' ; '_a'
""",
    """
3 ; [] ; b'a'
""",
)
ODD_DISPLAYS_Y_PROBA = options("""
{} ; {3: PROBA} ; {'$a': PROBA}
""")
DISPLAYS_SMOOTHING = choice(
    """
smoothing.ILS1() ; smoothing.ILS2() ; smoothing.NoSmoothing() ; OwnRule() ; smoothing.ILS() ;
smoothing.SelfDistillation()
""",
    """
'ils2' ; None ; 3 ; smoothing.SelfDistillation(temperature=2) ; smoothing.ILS2 ; OwnRule(factor=raises) ;
OwnRule(factor=lambda p: None) ; OwnRule(factor=lambda p: p * np.nan) ; OwnRule(factor=lambda p: p[:1]) ;
smoothing.ILS1(shift=3) ; OwnRule(factor=lambda p: -p)
""",
)
DISPLAYS_KIND = choice(
    """
'top-label' ; 'classwise' ; 0 ; [0, 1] ; 'ant'
""",
    """
[] ; None ; 99 ; 'abc' ; [None] ; X ; [[0]]
""",
)
SEARCH_DISPLAYS_SEARCH = choice(
    """
cv_results({'smoothing__epsilon': [0.1, 0.2, 0.3]}) ;
cv_results({'smoothing__epsilon': [0.1, 0.2], 'lr': [0.1, 0.01]}) ;
cv_results({'smoothing': ['none', 'ils2']}) ; cv_results({'smoothing__epsilon': [0.1, 0.2]}).cv_results_ ;
cv_results({'a': [None, 1]})
""",
    """
3 ; None ; {} ; SmoothingSearchCV(InstanceSmoothedClassifier()) ; cv_results({}) ; {'params': []} ;
cv_results({'a': [[1], [2]]}) ; cv_results({'a': [1, 2]}, score=np.nan) ;
cv_results({'a': [1, 2]}, score=np.inf) ; cv_results({'a': [1, 'b', None]}) ;
pd.DataFrame(cv_results({'a': [1, 2]}).cv_results_) ; cv_results({'a': [np.nan, 1.0]}) ;
cv_results({'a': [-1.0, 0.0]}) ; cv_results({'a': [1], 'b': [1, 2], 'c': [1, 2]})
""",
)
SEARCH_DISPLAYS_KWARGS = choice(
    """
{} ; {'color': 'red'}
""",
    """
{'nonsense': 1} ; {'c': 'red'}
""",
)
SEARCH_DISPLAYS_WHERE = choice(
    """
None ; {'lr': 0.1}
""",
    """
{'nonsense': 1} ; 3 ; {'lr': 99} ; [] ; {'lr': [0.1]}
""",
)

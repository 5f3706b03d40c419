"""Words of command lines and texts of YAML files that nobody should write, for the tests of what becomes of them."""

from conftest import CHECKOUT

from nst_lab.config.checks import schema_keys

GROUPS = sorted(path.name for path in (CHECKOUT / "conf").iterdir() if path.is_dir() and path.name != "hydra")
SECTIONS = sorted({key.partition(".")[0] for key in schema_keys() if "." in key})
NO_KEYS = (
    "", ".", "loss.", ".loss", "loss..x", "los", "loss.content", "loss.content_weight.x", "size.x", "a.b.c.d.e",
    "siz", "Size", "é", "_target_", "_self_", "defaults", "0", "size size", "experiment.x", "seed_run",
)  # fmt: skip
HYDRAS = (
    "hydra", "hydra.x", "hydra.mode", "hydra.sweeper", "hydra.sweeper.params", "hydra.sweeper.params.size",
    "hydra.launcher", "hydra.run.dir", "hydra.sweep", "hydra.searchpath", "hydra.verbose", "hydra.job.name",
    "hydra.runtime", "hydra.callbacks", "hydra/launcher", "hydra/sweeper", "hydra/job_logging", "hydra/nothing",
)  # fmt: skip
KEYS = (*schema_keys(), *GROUPS, *SECTIONS, *NO_KEYS, *HYDRAS)

VALUES = (
    "", "''", '""', "null", "true", "maybe", "nan", "-nan", "inf", "-inf", "1e999", "-1e999", "-0", "-0.0", "0", "-1",
    "1", "1.5", "1e308", "1e-320", "9" * 30, "9" * 400, "-" + "9" * 400, "9" * 5000, "0x10", "1_000", "١", "text",
    "two words", "é", "画", "'a\0b'", "'a\nb'", "'a\x1b[31mb'", "'\udce9'", "'a\tb'", "[]", "[null]", "[1,2]", "[a,b]",
    "[[a]]", "[[[1]]]", "[nan]", "[-1]", "[{a:1}]", "[" * 400 + "]" * 400, "{}", "{a:1}", "{a:{b:[c]}}", "{1:2}",
    "{a:1,a:2}", "[1", "{a", ")", "'open", '"open', "a'b", "\\", "'\\'", "a,b", "1,", ",1", "range(1,3)",
    "range(1,1e9)",
    "range(0,inf)", "range(1,2,0)", "shuffle(range(1,1e12))", "interval(0,1)", "choice()", "choice(1,a)", "glob(ad*)",
    "glob([)", "sort(2,1)", "int(a)", "float(1)", "nothing(1)", "extend_list(1)", "tag(1)", "${seed}", "${size}",
    "${loss}", "${nothing}", "${..x}", "${", "'a${b'", "${}", "${oc.env:HOME}", "${oc.env:NOT_THERE}",
    "${oc.decode:'[1,2]'}", '${oc.decode:"[1,2]"}', "${oc.create:{a:1}}", "${oc.dict.keys:loss}",
    "${hydra:runtime.cwd}",
    "${now:%Y}", "${oc.select:a,b}", "${oc.deprecated:size}", "${no_resolver:1}", "'~nobody_of_this_name/x'",
    "/dev/zero",
    "/nowhere/a.png", ".", "..", "-1-", "x" * 3000, "=", "==", "a=b", "#", "!!python/object/apply:os.getcwd",
)  # fmt: skip

# Texts of a file of the user's, of whatever kind; `pwned` is a file that one of them would make if it were obeyed.
TEXTS = {
    "no YAML": b"a: [1,\nb",
    "tabs": b"a:\n\t- b",
    "binary": bytes(range(256)),
    "zeros": bytes(3000),
    "utf-16": "name: a".encode("utf-16"),
    "a list": b"- 1\n- 2",
    "a number": b"3",
    "a text": b"just words",
    "an anchor within itself": b"a: &a [*a]",
    "a mapping within itself": b"&a {loss: *a}",
    "an alias of nothing": b"size: *nothing",
    "very deep": b"size: " + b"[" * 3000 + b"]" * 3000,
    "an object": b"size: !!python/object/apply:os.system ['touch pwned']",
    "a new object": b"size: !!python/object/new:pathlib.Path [pwned]",
    "a name of Python": b"size: !!python/name:os.system",
    "an unknown tag": b"size: !nothing 3",
    "a set": b"size: !!set {a, b}",
    "a date": b"size: 2001-01-01",
    "bytes": b"size: !!binary aGVsbG8=",
    "a key twice": b"size: 32\nsize: 64",
    "a key that is a list": b"? [a, b]\n: 3",
    "a key that is a number": b"3: 4",
    "a key that is null": b"null: 4",
    "a number of 5000 digits": b"size: " + b"9" * 5000,
    "a number of 400 digits": b"size: " + b"9" * 400,
    "an interpolation": b"size: ${nothing}",
    "half an interpolation": b"size: '${'",
    "defaults that are a number": b"defaults: 3\nsize: 32",
    "defaults of nothing": b"defaults: [nothing]\n",
    "defaults of itself": b"defaults: [mine]\nsize: 32",
    "two documents": b"size: 32\n---\nsize: 64",
    "nulls": b"size: null\nloss: null\nstyle: null\nname: null",
    "wrong types": b"size: [1]\nloss: 3\nstyle: a\nname: {a: b}",
    "no sweeper": b"hydra: {sweeper: null}",
    "a sweep of a number": b"hydra: {sweeper: {params: 3}}",
    "a sweep of a list": b"hydra: {sweeper: {params: {size: [1, 2]}}}",
    "a sweep of nothing": b"hydra: {sweeper: {params: {size: null}}}",
    "an endless sweep": b"hydra: {sweeper: {params: {seed: 'range(0, 1e9)', model.seed: 'range(0, 1e9)'}}}",
}
CONVENTIONS = {
    "of nothing": b"name: mine",
    "of a number": b"name: mine\nloss: 3\noptimizer: 3\nlayers: [a]",
    "of tables that are none": b"name: mine\noptimizer: {learning_rates: 3}\nloss: {style_factors: [1]}",
    "of a profile that is a list": b"name: mine\nlayers: {style_profile: [a]}",
    "whose name is a list": b"name: [mine]",
}

"""Weight sources: files in three formats, what is refused and in which words, downloads from a real server."""

import gc
import hashlib
import io
import pickle
import socket
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nst_lab.errors import WeightsError
from nst_lab.network.architecture import CONVOLUTIONS, LAYERS
from nst_lab.network.weight_files import CAFFE_SHA256, caffe_file, identity, torchvision_file
from nst_lab.network.weights import Weights, load_weights, prepare_weights

FORMATS: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
    ".pth": lambda tensors, path: torch.save(tensors, path),
    ".safetensors": lambda tensors, path: save_file(tensors, path),
    ".npz": lambda tensors, path: numpy.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()}),
}
# Index of each convolution in torchvision's `features`, as its published state dict has them.
POSITIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def refusal(function: Callable[..., object], *arguments: object) -> str:
    """The message of the WeightsError that a call ends in; it is one line."""
    with pytest.raises(WeightsError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert message.strip()
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def random_weights() -> Weights:
    return load_weights("random", 3)


@pytest.fixture(scope="module")
def state(random_weights: Weights) -> dict[str, Tensor]:
    tensors = {"classifier.0.weight": torch.ones(2, 2)}  # present in torchvision's file, of no use here
    for (name, kernel), position in zip(random_weights.kernels.items(), POSITIONS, strict=True):
        tensors[f"features.{position}.weight"] = kernel.weight
        tensors[f"features.{position}.bias"] = kernel.bias + CONVOLUTIONS.index(name)
    return tensors


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_tensors_written_and_the_files_sha256(
    suffix: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"vgg19{suffix}"
    FORMATS[suffix](state, path)
    weights = load_weights(str(path))
    assert weights.sha256 == identity(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert tuple(weights.kernels) == CONVOLUTIONS
    for kernel, position in zip(weights.kernels.values(), POSITIONS, strict=True):
        assert torch.equal(kernel.weight, state[f"features.{position}.weight"])
        assert torch.equal(kernel.bias, state[f"features.{position}.bias"])


def test_caffe_weights_are_the_pinned_palette_file() -> None:
    weights = load_weights("caffe")
    assert weights.sha256 == CAFFE_SHA256 == hashlib.sha256(caffe_file().read_bytes()).hexdigest() == identity("caffe")
    for name, (weight, bias) in weights.kernels.items():
        assert len(weight) == len(bias) == LAYERS[name].channels
        assert weight.unique().numel() <= 256


def test_random_weights_follow_their_seed(random_weights: Weights) -> None:
    again, other = load_weights("random", 3), load_weights("random", 4)
    assert random_weights.sha256 is None
    for name, kernel in random_weights.kernels.items():
        assert torch.equal(kernel.weight, again.kernels[name].weight)
        assert not torch.equal(kernel.weight, other.kernels[name].weight)


def test_random_weights_have_the_spread_of_he_et_al(random_weights: Weights) -> None:
    for weight, bias in random_weights.kernels.values():
        assert weight.std().item() == pytest.approx((2 / (9 * weight.shape[1])) ** 0.5, rel=0.05)
        assert not bias.any()


def test_random_weights_leave_torchs_own_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_weights("random", 9)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_key_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"incomplete{suffix}"
    FORMATS[suffix]({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    assert refusal(load_weights, str(path)).startswith(f"{path}: features.0.bias is missing")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_wrong_shape_is_named_with_both_shapes(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"other{suffix}"
    FORMATS[suffix]({"features.0.weight": torch.zeros(64, 3, 5, 5)}, path)
    message = refusal(load_weights, str(path))
    assert message.startswith(f"{path}: features.0.weight has shape (64, 3, 5, 5), expected (64, 3, 3, 3)")


def truncated(suffix: str) -> bytes:
    whole = Path(f"whole{suffix}")
    FORMATS[suffix]({"features.0.weight": torch.zeros(64, 3, 3, 3)}, whole)
    return whole.read_bytes()[: whole.stat().st_size // 2]


def zip_of_text(_suffix: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "no tensors\nhere")
    return buffer.getvalue()


UNREADABLE: dict[str, Callable[[str], bytes]] = {
    "truncated": truncated,
    "empty": lambda _suffix: b"",
    "text": lambda _suffix: b"<html>\n<body>404 Not Found</body>\n</html>\n",
    "noise": lambda _suffix: numpy.random.default_rng(0).bytes(5000),
    "other_zip": zip_of_text,
}


@pytest.mark.parametrize("content", UNREADABLE)
@pytest.mark.parametrize("suffix", FORMATS)
def test_an_unreadable_file_is_refused_in_one_line_that_names_it(
    suffix: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(UNREADABLE[content](suffix))
    assert refusal(load_weights, str(path)).startswith(f"{path}: ")


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_absent_file_is_refused_in_one_line_that_names_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"absent{suffix}"
    assert refusal(load_weights, str(path)).startswith(f"{path}: ")


def test_a_pth_of_something_else_than_named_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    assert "holds a list" in refusal(load_weights, str(tmp_path / "list.pth"))


class Malicious:
    """Creates a file when unpickled."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


def malicious_array(payload: Malicious) -> bytes:
    buffer = io.BytesIO()
    numpy.savez(buffer, **{"features.0.weight": numpy.array([payload], dtype=object)})
    return buffer.getvalue()


def malicious_zip(payload: Malicious) -> bytes:
    buffer = io.BytesIO()
    torch.save({"features.0.weight": payload}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("suffix", "write"),
    [(".pth", malicious_zip), (".pth", pickle.dumps), (".npz", malicious_array), (".npz", pickle.dumps)],
)
def test_a_malicious_pickle_is_refused_and_not_run(
    suffix: str, write: Callable[[Malicious], bytes], tmp_path: Path
) -> None:
    target, path = tmp_path / "owned", tmp_path / f"evil{suffix}"
    path.write_bytes(write(Malicious(target)))
    assert refusal(load_weights, str(path)).startswith(f"{path}: ")
    assert not target.exists()


def test_normalising_other_weights_than_the_measured_ones_is_refused_and_names_the_command() -> None:
    message = refusal(prepare_weights, "random", 0, True)
    for part in ("model.normalized=true", "nst-measure FOLDER --weights random", "model.normalized=false"):
        assert part in message


def test_normalising_stays_finite_and_counts_the_silent_filters() -> None:
    plain, normalised = prepare_weights("caffe", 0, False), prepare_weights("caffe", 0, True)
    assert normalised.sha256 == plain.sha256
    assert normalised.unscaled_filters == 0  # none is silent among the shipped means
    for kernel in normalised.kernels.values():
        assert kernel.weight.isfinite().all()


GOOD = b"the bytes of a network"
GOOD_NAME = f"vgg19-{hashlib.sha256(GOOD).hexdigest()[:8]}.pth"
SERVED = {f"/{GOOD_NAME}": GOOD, "/vgg19-00000000.pth": b"other bytes"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = SERVED.get(self.path)
        self.send_response(200 if content else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def test_a_download_is_kept_and_not_repeated(server: str, checkpoints: Path) -> None:
    path = torchvision_file(f"{server}/{GOOD_NAME}")
    assert path == checkpoints / GOOD_NAME
    assert path.read_bytes() == GOOD
    assert list(checkpoints.iterdir()) == [path]
    assert torchvision_file(f"http://127.0.0.1:1/{GOOD_NAME}") == path


# urllib leaves the socket of an answer that it raises as an error to the garbage collector.
socket_left_open = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def assert_failed_download(url: str, checkpoints: Path) -> str:
    message, name = refusal(torchvision_file, url), url.rsplit("/", 1)[-1]
    gc.collect()
    for part in (url, f"copy the file to {checkpoints / name}", f"model.weights=/path/to/{name}"):
        assert part in message
    assert list(checkpoints.iterdir()) == []
    return message


def test_wrong_bytes_are_not_kept(server: str, checkpoints: Path) -> None:
    assert "invalid hash" in assert_failed_download(f"{server}/vgg19-00000000.pth", checkpoints)


@socket_left_open
def test_an_absent_download_says_what_to_do_offline(server: str, checkpoints: Path) -> None:
    assert "404" in assert_failed_download(f"{server}/vgg19-11111111.pth", checkpoints)


def test_a_refused_connection_says_what_to_do_offline(server: str, checkpoints: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # not listening
        assert_failed_download(f"http://127.0.0.1:{bound.getsockname()[1]}/vgg19-22222222.pth", checkpoints)


@socket_left_open
def test_an_answer_that_is_not_http_says_what_to_do_offline(server: str, checkpoints: Path) -> None:
    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"220 mail service ready\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=answer, daemon=True)
        thread.start()
        assert_failed_download(f"http://127.0.0.1:{listener.getsockname()[1]}/vgg19-33333333.pth", checkpoints)
        thread.join()


def test_a_file_of_other_bytes_in_torchs_cache_is_refused(checkpoints: Path) -> None:
    checkpoints.mkdir(parents=True)
    path = checkpoints / "vgg19-dcbb9e9d.pth"
    path.write_bytes(b"not the published file")
    message = refusal(load_weights, "torchvision")
    assert message.startswith(f"{path}: sha256 is ")
    assert "dcbb9e9d" in message

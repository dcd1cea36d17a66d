"""The Hub of the tests answers the real client as the Hub does."""

import hashlib
from pathlib import Path

import pytest
from hub_server import Fault
from hub_store import READER, STRANGER, WRITER
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

WEIGHTS = bytes(range(256)) * 1000


@pytest.fixture
def no_waiting(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


@pytest.fixture
def name(api):
    """Return a repository with a small and a large file."""
    api.create_repo("user/model")
    push(api, {"config.json": b"{}", "model.safetensors": WEIGHTS})
    return "user/model"


def push(api, files, name="user/model", **options):
    operations = [
        CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
        for path, content in files.items()
    ]
    return api.create_commit(name, operations, commit_message="a push", **options)


def status(error):
    return error.value.response.status_code


def test_a_token_says_who_somebody_is_and_a_wrong_one_is_refused(api):
    assert api.whoami()["name"] == "user"
    assert [entry["name"] for entry in api.whoami()["orgs"]] == ["lab"]
    with pytest.raises(HfHubHTTPError, match="Invalid user token") as error:
        api.whoami(token="hf_wrong")
    assert status(error) == 401


def test_what_was_pushed_is_listed_and_comes_back_bit_by_bit(api, name, hub):
    assert api.list_repo_files(name) == [".gitattributes", "config.json", "model.safetensors"]
    assert Path(hf_hub_download(name, "model.safetensors")).read_bytes() == WEIGHTS
    large = {entry.path: entry.lfs for entry in api.list_repo_tree(name)}
    assert large["config.json"] is None
    assert large["model.safetensors"].sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert [sibling.rfilename for sibling in api.model_info(name).siblings] == api.list_repo_files(name)


def test_a_file_that_has_not_changed_is_not_sent_again(api, name, hub):
    hub.requests.clear()
    push(api, {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS})
    assert hub.repository(name).history()[-1].changed == ("config.json",)
    assert not hub.seen("PUT /lfs")
    push(api, {"copy.safetensors": WEIGHTS})  # the store has it, under whatever name
    assert not hub.seen("PUT /lfs")


def test_a_large_file_may_come_in_parts(api, name, hub):
    hub.part_size = 100_000
    hub.requests.clear()
    push(api, {"other.safetensors": WEIGHTS[::-1]})
    assert len(hub.seen("PUT /lfs")) == 3
    assert Path(hf_hub_download(name, "other.safetensors")).read_bytes() == WEIGHTS[::-1]


def test_a_large_file_with_another_sum_is_refused(api, name, hub):
    with pytest.raises(HfHubHTTPError, match="checksum mismatch"):
        hub_answer(hub, "PUT", "/lfs/" + "0" * 64 + "/0", content=b"something")


def hub_answer(hub, method, path, **options):
    from huggingface_hub.utils import get_session, hf_raise_for_status

    answer = get_session().request(method, hub.url + path, **options)
    hf_raise_for_status(answer)
    return answer


def test_branches_and_tags_keep_their_state(api, name):
    api.create_tag(name, tag="v1")
    api.create_branch(name, branch="next/one")
    push(api, {"config.json": b"[]"}, revision="next/one")
    push(api, {"config.json": b"{1}"})
    found = {}
    for revision in ("v1", "next/one", "main"):
        found[revision] = Path(hf_hub_download(name, "config.json", revision=revision)).read_bytes()
    assert found == {"v1": b"{}", "next/one": b"[]", "main": b"{1}"}
    refs = api.list_repo_refs(name)
    assert ({ref.name for ref in refs.branches}, {ref.name for ref in refs.tags}) == ({"main", "next/one"}, {"v1"})
    for again in (lambda: api.create_tag(name, tag="v1"), lambda: api.create_branch(name, branch="next/one")):
        with pytest.raises(HfHubHTTPError) as error:
            again()
        assert status(error) == 409


def test_a_pull_request_leaves_the_branch_alone(api, name, hub):
    found = push(api, {"config.json": b"[]"}, create_pr=True, token=STRANGER)
    assert found.pr_revision == "refs/pr/1"
    assert hub.repository(name).at("main").files["config.json"].content == b"{}"
    assert hub.repository(name).at("refs/pr/1").files["config.json"].content == b"[]"


def test_a_repository_that_exists_is_a_conflict_unless_that_is_fine(api, name):
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo(name)
    assert status(error) == 409
    assert api.create_repo(name, exist_ok=True).repo_id == name


def test_missing_things_have_errors_of_their_own(api, name):
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("user/nothing")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(name, revision="nothing")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(name, "nothing.json")


def test_only_those_with_rights_write(api, name):
    for token in (READER, STRANGER):
        with pytest.raises(HfHubHTTPError) as error:
            push(api, {"config.json": b"[]"}, token=token)
        assert status(error) == 403
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo("somebody/model")
    assert status(error) == 403
    api.create_repo("lab/model")


def test_a_private_repository_is_not_there_for_others(api):
    api.create_repo("user/secret", private=True)
    assert api.model_info("user/secret").private
    assert HfApi(token=READER).model_info("user/secret").private
    for token in (STRANGER, False):
        with pytest.raises(RepositoryNotFoundError):
            api.model_info("user/secret", token=token)


def test_a_commit_on_an_outdated_parent_is_refused(api, name):
    parent = api.model_info(name).sha
    push(api, {"config.json": b"[1]"}, parent_commit=parent)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as error:
        push(api, {"config.json": b"[2]"}, parent_commit=parent)
    assert status(error) == 412


def test_files_can_be_taken_away(api, name):
    push(api, {"model.safetensors": None})
    assert api.list_repo_files(name) == [".gitattributes", "config.json"]
    with pytest.raises(EntryNotFoundError, match="doesn't exist"):
        push(api, {"nothing.json": None})


def test_metadata_that_the_hub_would_refuse_stops_a_push(api, name):
    with pytest.raises(ValueError, match="license"):
        push(api, {"README.md": b"---\nlicense: My Own!\n---\n"})
    push(api, {"README.md": b"---\nlicense: apache-2.0\n---\n"})
    assert api.model_info(name).card_data.license == "apache-2.0"


def test_a_commit_naming_a_large_file_that_never_came_is_refused(api, name, hub):
    hub.store.large_files.clear()
    line = b'{"key": "header", "value": {"summary": "x"}}\n'
    line += b'{"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", "oid": "00"}}\n'
    with pytest.raises(BadRequestError, match="does not exist"):
        hub_answer(
            hub,
            "POST",
            f"/api/models/{name}/commit/main",
            content=line,
            headers={"authorization": f"Bearer {WRITER}"},
        )


def test_an_upload_that_is_cut_is_sent_again_and_ends_whole(api, name, hub, no_waiting):
    hub.faults = [Fault("PUT /lfs", cut=1000)]
    push(api, {"other.safetensors": WEIGHTS[::-1]})
    assert len(hub.seen("PUT /lfs")) >= 2
    assert hub.repository(name).at("main").files["other.safetensors"].content == WEIGHTS[::-1]


def test_a_download_that_is_cut_goes_on_where_it_stopped(name, hub, no_waiting, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # what has come since the last chunk is lost
    hub.faults = [Fault("GET .*model.safetensors", cut=100_000)]
    assert Path(hf_hub_download(name, "model.safetensors")).read_bytes() == WEIGHTS
    first, second = hub.seen("GET .*model.safetensors")
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=100000-"
    assert second.status == 206


def test_who_asks_too_often_waits_as_long_as_told(api, name, hub, no_waiting):
    hub.faults = [Fault("POST .*preupload", status=429), Fault("PUT /lfs", status=500)]
    push(api, {"other.safetensors": WEIGHTS[::-1]})
    assert no_waiting == [2.0, 1]  # a second as told and one more; then the client's own patience
    hub.faults = [Fault("GET .*whoami", status=429)]
    with pytest.raises(HfHubHTTPError) as error:
        api.whoami()
    assert status(error) == 429


def test_a_slow_answer_is_still_one(api, name, hub):
    hub.faults = [Fault("GET /api/models", seconds=0.2)]
    assert api.model_info(name).id == name


def test_a_snapshot_of_a_revision_is_what_it_was(api, name, tmp_path):
    sha = api.model_info(name).sha
    push(api, {"config.json": b"[3]"})
    assert (tmp_path / "at" / "config.json").exists() is False
    snapshot_download(name, revision=sha, local_dir=tmp_path / "at")
    assert (tmp_path / "at" / "config.json").read_bytes() == b"{}"


def test_datasets_and_collections_are_kept_apart(api, name):
    api.create_repo("user/model", repo_type="dataset")
    push(api, {"train.parquet": WEIGHTS}, repo_type="dataset")
    assert "train.parquet" in api.list_repo_files("user/model", repo_type="dataset")
    assert "train.parquet" not in api.list_repo_files("user/model")
    slug = api.create_collection("My models", exists_ok=True).slug
    api.add_collection_item(slug, name, "model")
    api.add_collection_item(slug, name, "model", exists_ok=True)
    assert [item.item_id for item in api.get_collection(slug).items] == [name]
    assert api.create_collection("My models", exists_ok=True).slug == slug

"""Read values from YAML and cast them to the types of the fields they are for; every mistake is refused by name."""

import difflib
import math
import re
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from hf_msa.errors import RecipeError

_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
_MANY = 40  # names in one error; ours
_MAX_DEPTH = 20  # of lists and mappings in each other; ours


class _Loader(yaml.SafeLoader):
    """YAML, except that of two equal keys the last does not win in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
                if key.value in seen:
                    problem = f"the key {key.value!r} a second time"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Return the value of a YAML text; nothing in it is run.

    Args:
        text: YAML 1.1, as PyYAML reads it.

    Raises:
        yaml.YAMLError: For what is no YAML, a key that stands there twice, and values nested too deeply.
    """
    try:
        value = yaml.load(text, _Loader)
        _check_depth(value)
    except RecursionError as error:
        raise yaml.YAMLError(f"values in more than {_MAX_DEPTH} others") from error
    return value


def _check_depth(value: Any, depth: int = 0) -> None:
    """Refuse what later code could not walk through, also a value that holds itself (`&a [*a]`)."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    if isinstance(value, (dict, list)):
        for entry in value.values() if isinstance(value, dict) else value:
            _check_depth(entry, depth + 1)


def read_options(options: Sequence[str]) -> dict[str, Any]:
    """Read "key=value" pairs whose values are YAML.

    Args:
        options: The pairs.

    Raises:
        RecipeError: For what is no such pair.
    """
    values: dict[str, Any] = {}
    for option in options:
        set_value(values, option)
    return values


def set_value(values: dict[str, Any], setting: str, mappings: Collection[str] = ()) -> None:
    """Put the value of a setting into a mapping, in place of what stood there.

    Args:
        values: Is changed; the mappings inside are replaced, not changed.
        setting: "key=value", the value in YAML. With a dot, "model.use_gate=false" reaches into a mapping.
        mappings: Keys whose values are mappings, so that a dot reaches into them even where they are missing.

    Raises:
        RecipeError: For what is no such pair.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"set: expected key=value, got {setting!r}")
    parts = key.split(".")
    *path, last = parts if parts[0] in values or parts[0] in mappings else [key]
    inner = values
    for part in path:
        below = inner.get(part)
        inner[part] = inner = dict(below) if isinstance(below, dict) else {}
    try:
        inner[last] = load_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"set: expected a YAML value, got {setting!r}") from error


def check_known(name: str, values: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a key that nobody knows, with the one that may be meant, or else with others that there are.

    Args:
        name: The name of the mapping, for the error.
        values: The mapping.
        known: The keys that it may have.

    Raises:
        RecipeError: It names the key.
    """
    for key in values:
        if key not in known:
            names = sorted(known)
            close = difflib.get_close_matches(key, names, n=1)
            # Of a mapping with a hundred keys the three that are most alike.
            shown = names if len(names) <= _MANY else difflib.get_close_matches(key, names, n=3, cutoff=0.0)
            hint = f"did you mean {close[0]!r}?" if close else f"expected one as {', '.join(shown)}"
            raise RecipeError(f"unknown key {key!r} in {name}; {hint}")


def cast_fields(values: Mapping[str, Any], hints: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Return values cast to the types that their keys have.

    Args:
        values: As YAML read them.
        hints: Every key that may occur, with its type.
        name: The name of the mapping, for the error; none at the top of a file.

    Raises:
        RecipeError: For an unknown key, and a value of another type than its key's.
    """
    check_known(name or "recipe", values, hints)
    prefix = f"{name}." if name else ""
    return {key: cast_value(value, hints[key], prefix + key) for key, value in values.items()}


def cast_value(value: Any, hint: Any, name: str) -> Any:
    """Return a value from YAML as its field's type wants it.

    Args:
        value: As YAML read it.
        hint: The type: a plain one, a union, a literal, a list, tuple or dict of types. What is none of these passes.
        name: The name of the field, for the error.

    Raises:
        RecipeError: When the value is not of that type and no number that could be.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _cast_union(value, inner, name)
    if hint is Any:
        # Nobody says what it should be, so what only YAML 1.1 takes for a string is a number.
        if isinstance(value, dict):
            return {key: cast_value(entry, Any, name) for key, entry in value.items()}
        if isinstance(value, list):
            return [cast_value(entry, Any, name) for entry in value]
        return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value
    if origin is Literal:
        if value not in inner:
            raise RecipeError(f"{name}: expected {' or '.join(map(repr, inner))}, got {value!r}")
        return value
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise RecipeError(f"{name}: expected a mapping, got {value!r}")
        return {key: cast_value(entry, inner[1] if inner else Any, f"{name}.{key}") for key, entry in value.items()}
    if origin in (list, tuple) or hint in (list, tuple):
        if not isinstance(value, list):
            raise RecipeError(f"{name}: expected a list, got {value!r}")
        entry_type = inner[0] if inner else Any
        return [cast_value(entry, entry_type, name) for entry in value]
    return _cast_plain(value, hint, name)


def _cast_union(value: Any, options: tuple[Any, ...], name: str) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return cast_value(value, options[0], name)
    # A type that the value has already; then, of the others, the first that it can be cast to.
    exact = [option for option in options if isinstance(option, type) and type(value) is option and option is not str]
    for option in (*exact, *(option for option in options if option is not str), *(o for o in options if o is str)):
        try:
            return cast_value(value, option, name)
        except ValueError:
            continue
    names = " or ".join(getattr(option, "__name__", str(option)) for option in options)
    raise RecipeError(f"{name}: expected {names}, got {value!r}")


def _cast_plain(value: Any, hint: Any, name: str) -> Any:
    wrong = RecipeError(f"{name}: expected {getattr(hint, '__name__', hint)}, got {value!r}")
    if hint is bool or hint is str:
        if not isinstance(value, hint):
            raise wrong
        return value
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise wrong
        if hint is int and isinstance(value, int):
            return value
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise wrong from None
        if math.isnan(number) or (hint is int and not number.is_integer()):
            raise wrong
        return number if hint is float else int(number)
    return value


__all__ = ["cast_fields", "cast_value", "check_known", "load_yaml", "read_options", "set_value"]

"""Signed tokens: nobody but the server can make or prolong one."""

import base64
import json
import time

import pytest

from memo.demo.tokens import InvalidTokenError, Token, sign, verify

SECRET = b"the server's"


def claims(token):
    """What anybody can read in a token."""
    return json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))


def with_claims(token, **changed):
    """The token with other claims, under the signature it had."""
    payload = json.dumps(claims(token) | changed).encode()
    return f"{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.{token.split('.')[1]}"


def test_a_token_names_its_user():
    """What was signed for a user is verified as that user's."""
    assert verify(sign("ada", 100.0, SECRET), SECRET, 99.9) == "ada"
    assert claims(sign("ada", 100.0, SECRET)) == {"sub": "ada", "exp": 100.0}


@pytest.mark.parametrize("user", ["", "ada lovelace", "a.b", "josé", "\r\nX: y", "x" * 5000])
def test_any_name_survives(user):
    """A user's name comes back as it was, and the token is safe in a header."""
    token = sign(user, 100.0, SECRET)
    assert verify(token, SECRET, 0.0) == user
    assert token.isascii()
    assert token.isprintable()
    assert " " not in token


@pytest.mark.parametrize("now", [100.0, 100.1, 1e12])
def test_a_token_runs_out(now):
    """From the moment it names on, a token is refused as expired."""
    with pytest.raises(InvalidTokenError, match="expired"):
        verify(sign("ada", 100.0, SECRET), SECRET, now)


def test_another_secret_signs_nothing():
    """A token signed with another secret is refused for its signature."""
    with pytest.raises(InvalidTokenError, match="signature"):
        verify(sign("ada", 100.0, b"a thief's"), SECRET, 0.0)


@pytest.mark.parametrize("changed", [{"sub": "grace"}, {"exp": 1e12}])
def test_claims_cannot_be_changed(changed):
    """Another user or a later end under the old signature is refused, expired or not."""
    token = with_claims(sign("ada", 100.0, SECRET), **changed)
    for now in (0.0, 1e6):
        with pytest.raises(InvalidTokenError, match="signature"):
            verify(token, SECRET, now)


def test_each_flipped_character_is_noticed():
    """No character of a token can be exchanged for another without the token being refused."""
    token = sign("ada", 100.0, SECRET)
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        forged = token[:place] + other + token[place + 1 :]
        if place == len(token) - 1:
            continue  # the last character has bits that mean nothing
        with pytest.raises(InvalidTokenError):
            verify(forged, SECRET, 0.0)


@pytest.mark.parametrize("text", ["", ".", "..", "a", "a.b.c", "ä.ö", "!!!.???", "a" * 100_000])
def test_garbage_is_no_token(text):
    """What is no token at all is refused, and nothing else is raised."""
    with pytest.raises(InvalidTokenError, match=r"malformed|signature"):
        verify(text, SECRET, 0.0)


def test_expires_in_counts_down():
    """A client's token tells how long the server still accepts it, and that it no longer does."""
    now = time.time()
    assert 3500 < Token("ada", "text", now + 3600).expires_in <= 3600
    assert Token("ada", "text", now - 1).expires_in < 0

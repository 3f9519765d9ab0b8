from __future__ import annotations

from builder.stages.configtext import assign, rename

TEXT = """\
# Networking
CONFIG_NET=y
CONFIG_VXLAN=m

# Files
CONFIG_EXT4_FS=m
# CONFIG_XFS_FS is not set
"""
ORDER = ("NET", "INET", "DUMMY", "VXLAN", "EXT4_FS", "EXT4_DEBUG", "XFS_FS")


def test_a_line_is_changed_where_it_stands() -> None:
    after = assign(TEXT, {"VXLAN": "n", "XFS_FS": "m"}, ORDER)
    assert after == TEXT.replace("CONFIG_VXLAN=m", "# CONFIG_VXLAN is not set").replace(
        "# CONFIG_XFS_FS is not set", "CONFIG_XFS_FS=m"
    )


def test_a_new_line_comes_behind_its_neighbour() -> None:
    after = assign(TEXT, {"DUMMY": "m", "EXT4_DEBUG": "y", "INET": "y"}, ORDER)
    assert after == TEXT.replace("CONFIG_NET=y\n", "CONFIG_NET=y\nCONFIG_INET=y\nCONFIG_DUMMY=m\n").replace(
        "CONFIG_EXT4_FS=m\n", "CONFIG_EXT4_FS=m\nCONFIG_EXT4_DEBUG=y\n"
    )


def test_what_has_no_place_goes_to_the_end() -> None:
    assert assign(TEXT, {"ZZZ": "y"}, ORDER) == TEXT + "CONFIG_ZZZ=y\n"
    assert assign("CONFIG_VXLAN=m", {"NET": "y"}, ORDER) == "CONFIG_VXLAN=m\nCONFIG_NET=y\n"
    assert assign("", {"NET": "y"}, ORDER) == "CONFIG_NET=y\n"


def test_a_line_can_go_and_one_that_stood_twice_stays_once() -> None:
    assert assign(TEXT, {"VXLAN": None, "DUMMY": None}, ORDER) == TEXT.replace("CONFIG_VXLAN=m\n", "")
    assert assign("CONFIG_A=y\n# b\n# CONFIG_A is not set\n", {"A": "m"}) == "# b\nCONFIG_A=m\n"


def test_what_says_so_already_is_left_to_the_byte() -> None:
    odd = "  CONFIG_NET=y  \r\n# c\r\n"
    assert assign(odd, {"NET": "y"}) == odd
    assert assign(odd, {"NET": "m"}) == "CONFIG_NET=m\r\n# c\r\n"


def test_a_comment_that_names_an_option_is_none() -> None:
    text = "# CONFIG_NET=y would do\nCONFIG_NET=m\n"
    assert assign(text, {"NET": "y"}) == "# CONFIG_NET=y would do\nCONFIG_NET=y\n"


def test_an_option_gets_another_name_in_its_line() -> None:
    text = "# CONFIG_NET=y would do\nCONFIG_NET=y\nCONFIG_NETDEV=y\n# CONFIG_XFS is not set\n"
    after = rename(text, {"NET": "WEB", "XFS": "YFS"})
    assert after == "# CONFIG_WEB=y would do\nCONFIG_WEB=y\nCONFIG_NETDEV=y\n# CONFIG_YFS is not set\n"

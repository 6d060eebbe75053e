"""What a record says of the machine that made it.

Run with: python -m pytest tests/runtime/test_device.py
"""

import platform

from course_lib.runtime import device


def test_a_record_names_the_processor_where_linux_does_and_its_kind_elsewhere(
    monkeypatch, tmp_path
):
    listing = tmp_path / "cpuinfo"
    monkeypatch.setattr(device, "Path", lambda _: listing)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert device.describe_machine()["processor"] == "arm64", "no such file"
    listing.write_text("processor\t: 0\nBogoMIPS\t: 50\n")
    assert device.describe_machine()["processor"] == "arm64", "a file that names none"
    listing.write_text("processor\t: 0\nmodel name\t: A CPU @ 2 GHz: fast\nmodel name\t: B\n")
    assert device.describe_machine()["processor"] == "A CPU @ 2 GHz: fast"

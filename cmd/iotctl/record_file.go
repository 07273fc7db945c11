package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/iotctl/iotctl/internal/recording"
)

// recordForm is what is to be written.
func (s *settings) recordForm() string {
	switch {
	case s.outFormat != "":
		return s.outFormat
	case strings.HasSuffix(strings.ToLower(s.out), ".pcapng"), strings.HasSuffix(strings.ToLower(s.out), ".pcap"):
		return formatCapture
	}
	return formatLines
}

// createOut opens the file of -w; created says that it was not there before. What is
// there is left alone unless an option says otherwise.
func (s *settings) createOut(t *terminal, form string) (f io.WriteCloser, created bool, err error) {
	if s.out == "-" {
		if t.outTTY && form == formatCapture {
			return nil, false, usagef("a pcapng is not for a terminal")
		}
		return unclosed{t.out}, false, nil
	}
	file, err := os.OpenFile(s.out, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return file, true, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, false, fail(exitUsage, err)
	}
	switch {
	case s.appendTo:
		file, err = reopen(t, s.out, form)
	case s.overwrite:
		file, err = os.OpenFile(s.out, os.O_WRONLY|os.O_TRUNC, 0)
	default:
		hints := []string{"--overwrite replaces it"}
		if s.prog == progRecord {
			hints = []string{"--append goes on with it, --overwrite replaces it"}
		}
		return nil, false, fail(exitUsage, fmt.Errorf("%s is there already", s.out), hints...)
	}
	if err != nil {
		return nil, false, fail(exitUsage, err)
	}
	return file, false, nil
}

// reopen opens a recording to go on with it, without what was cut at its end.
func reopen(t *terminal, name, form string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	end, size, err := recording.End(f, form == formatCapture)
	if err == nil && end < size {
		t.warnf("%s: the last %s are not whole, and go", name, counted(int(size-end), "byte"))
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("go on with %s: %w", name, err), f.Close())
	}
	return f, nil
}

// unclosed is a stream that others close.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

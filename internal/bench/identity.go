package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxIdentityBytes bounds a file of identities.
const maxIdentityBytes = 1 << 30

// ReadIdentities reads a JSON array of objects, one object to a line, or CSV
// with the names of the fields (client_id, username, password, cert, key) in
// its first line.
func ReadIdentities(r io.Reader) ([]Identity, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxIdentityBytes))
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSpace(b)
	var all []Identity
	switch {
	case len(b) == 0:
		return nil, errors.New("the file is empty")
	case b[0] == '[':
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(&all)
	case b[0] == '{':
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		for d.More() && err == nil {
			var id Identity
			err = d.Decode(&id)
			all = append(all, id)
		}
	default:
		all, err = readCSV(b)
	}
	if err == nil && len(all) == 0 {
		err = errors.New("the file holds no identity")
	}
	return all, err
}

func readCSV(b []byte) ([]Identity, error) {
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		return nil, err
	}
	fields := map[string]func(*Identity) *string{
		"client_id": func(i *Identity) *string { return &i.ClientID },
		"username":  func(i *Identity) *string { return &i.Username },
		"password":  func(i *Identity) *string { return &i.Password },
		"cert":      func(i *Identity) *string { return &i.CertFile },
		"key":       func(i *Identity) *string { return &i.KeyFile },
	}
	for _, name := range rows[0] {
		if fields[strings.TrimSpace(name)] == nil {
			return nil, fmt.Errorf("line 1: column %q is none of client_id, username, password, cert, key", name)
		}
	}
	all := make([]Identity, len(rows)-1)
	for i, row := range rows[1:] {
		for at, v := range row {
			*fields[strings.TrimSpace(rows[0][at])](&all[i]) = v
		}
	}
	return slices.Clip(all), nil
}

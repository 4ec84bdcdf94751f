package postgres

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
)

// TestByteaArrayIsEncodedAsByPgx compares with the codec that ours stands for.
func TestByteaArrayIsEncodedAsByPgx(t *testing.T) {
	t.Parallel()
	plain, ours := pgtype.NewMap(), pgtype.NewMap()
	ours.RegisterType(newByteaArrayType(ours))
	for name, values := range map[string][][]byte{
		"one value":          {[]byte("value")},
		"several":            {[]byte("a"), bytes.Repeat([]byte{0, 255}, 5000), []byte("c")},
		"an empty value":     {[]byte("a"), {}},
		"a null":             {[]byte("a"), nil, []byte("c")},
		"nothing but a null": {nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := plain.Encode(pgtype.ByteaArrayOID, pgtype.BinaryFormatCode, values, []byte("before"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := ours.Encode(pgtype.ByteaArrayOID, pgtype.BinaryFormatCode, values, []byte("before"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("encoded (-pgx +ours):\n%s", diff)
			}
		})
	}
}

// TestByteaArrayIsEncodedAtOnce: the buffer grows once however many values there are.
// It counts what the whole process allocates, so it runs alone.
func TestByteaArrayIsEncodedAtOnce(t *testing.T) {
	values := make([][]byte, 64)
	for i := range values {
		values[i] = make([]byte, 2048)
	}
	allocations := testing.AllocsPerRun(10, func() {
		if _, err := (encodeByteaArray{}).Encode(values, nil); err != nil {
			t.Error(err)
		}
	})
	if allocations > 2 { // the buffer, and the interface that holds the slice
		t.Errorf("%v allocations, want one of the buffer", allocations)
	}
}

module platform.dev/stores/test

go 1.26.0

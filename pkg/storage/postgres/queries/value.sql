select value from log where rev = $1;

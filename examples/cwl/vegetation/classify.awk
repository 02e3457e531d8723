# Each pixel goes to the file of its class and scene, as row, column, index.
FNR == 1 { scene = FILENAME; sub(/.*ndvi-/, "", scene) }
{
    for (column = 1; column <= NF; column++) {
        if ($column < 0) class = "water"
        else if ($column < 0.2) class = "bare"
        else if ($column < dense_from) class = "sparse"
        else class = "dense"
        print FNR "," column "," $column > ("class-" class "-" scene)
    }
}

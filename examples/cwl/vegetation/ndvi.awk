# Two grids of the same size to one of their normalized difference.
FNR == NR { for (column = 1; column <= NF; column++) red[FNR, column] = $column; next }
{
    for (column = 1; column <= NF; column++) {
        sum = $column + red[FNR, column]
        index_ = sum == 0 ? 0 : ($column - red[FNR, column]) / sum
        printf "%s%.3f", column == 1 ? "" : ",", index_
    }
    printf "\n"
}
